"""Chooses the pieces of a vocabulary for a data configuration or for plain texts, with a report on unseen texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jsonargparse import ArgumentError, ArgumentParser
from transformers import PreTrainedTokenizerBase

from datamodules.bilingual import BilingualDataModule
from datamodules.pieces import VocabularyTrimming, trim_to_counts
from datamodules.tokenizer import load_tokenizer
from datamodules.vocabulary_report import (
    SegmentationChange,
    TextSample,
    compare,
    count_texts,
    read_texts,
    sample_rows,
)

# Of plain texts every so many-th is not counted: it stands for texts to come.
HELD_OUT_EVERY = 20


@dataclass(frozen=True)
class Choice:
    """What is kept of a vocabulary.

    Attributes:
        tokenizer: Of the kept pieces.
        kept: (K,) int64 ids of them in the base.
        settings: Why these.
        changes: What that does to texts.
    """

    tokenizer: PreTrainedTokenizerBase
    kept: np.ndarray
    settings: VocabularyTrimming
    changes: list[SegmentationChange]

    def report(self) -> dict[str, Any]:
        """Settings and changes as plain data for JSON."""
        return {"settings": asdict(self.settings), "texts": [asdict(change) for change in self.changes]}


def choose_for_config(configs: Sequence[Path], base: str, revision: str | None, changed: Mapping[str, Any]) -> Choice:
    """Chooses what `data.vocabulary` would choose in a run.

    Args:
        configs: YAML files with `data.init_args`; later ones win.
        base: Folder or hub id of the tokenizer.
        revision: Its revision.
        changed: Fields of `VocabularyTrimming` that win over the files.

    Returns:
        The choice, with samples of the training and the validation rows.

    Raises:
        ValueError: If a file is no such configuration, or the data cannot be read.
    """
    data = _data_module(configs, base, revision)
    data.vocabulary = replace(data.vocabulary or VocabularyTrimming(), **changed)
    data.prepare_data()
    assert data.kept_pieces is not None
    read = {split.split for split in data.report.splits if split.kept} if data.report else set()
    splits = [split for split in ("train", "validation") if split in read]
    samples = [sample for split in splits for sample in sample_rows(data.rows(split), split)]
    return _choice(data.tokenizer, data.kept_pieces.numpy(), data.vocabulary, samples, load_tokenizer(base, revision))


def choose_for_texts(
    files: Sequence[tuple[str, Path]], base: str, revision: str | None, changed: Mapping[str, Any]
) -> Choice:
    """Chooses by the pieces of plain texts.

    Args:
        files: Language and file; see `read_texts`.
        base: Folder or hub id of the tokenizer.
        revision: Its revision.
        changed: Fields of `VocabularyTrimming` that are not its defaults.

    Returns:
        The choice, with the counted texts as `train` and every twentieth text, not counted, as `validation`.

    Raises:
        ValueError: If a file cannot be read or has no text.
    """
    texts: dict[str, list[str]] = {}
    for language, path in files:
        texts.setdefault(language, []).extend(read_texts(path))
    samples = []
    for language, found in texts.items():
        held_out = found[::HELD_OUT_EVERY]
        counted = [text for number, text in enumerate(found) if number % HELD_OUT_EVERY]
        if not counted:
            raise ValueError(f"The texts of {language} are {len(found)}; at least 2 are needed.")
        samples += [TextSample(language, "train", counted), TextSample(language, "validation", held_out)]
    whole, tokenizer = load_tokenizer(base, revision), load_tokenizer(base, revision)
    counts = sum(count_texts(sample.texts, whole) for sample in samples if sample.split == "train")
    settings = VocabularyTrimming(**changed)
    kept = trim_to_counts(tokenizer, np.asarray(counts), settings)
    return _choice(tokenizer, kept, settings, samples, whole)


def _choice(
    tokenizer: PreTrainedTokenizerBase,
    kept: np.ndarray,
    settings: VocabularyTrimming,
    samples: Sequence[TextSample],
    whole: PreTrainedTokenizerBase,
) -> Choice:
    return Choice(tokenizer, kept, settings, [compare(sample, whole, tokenizer, kept) for sample in samples])


def _data_module(configs: Sequence[Path], base: str, revision: str | None) -> BilingualDataModule:
    settings: dict[str, Any] = {}
    for path in configs:
        try:
            settings |= yaml.safe_load(path.read_text(encoding="utf-8"))["data"]["init_args"]
        except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
            raise ValueError(
                f"{str(path)!r} is no data configuration with `data: {{init_args: ...}}`: {error}"
            ) from error
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(BilingualDataModule, "data")
    try:
        config = parser.parse_object({"data": settings | {"tokenizer": base, "revision": revision}})
    except ArgumentError as error:
        raise ValueError(f"{', '.join(map(str, configs))}: {error}") from error
    return parser.instantiate_classes(config).data
