"""The data module: any number of languages, concatenated, as batches that resume exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from datamodules.collate import Padding, SummarizationBatch, SummarizationCollator
from datamodules.known_words import KnownWords
from datamodules.loading import EncodedRows, build_loader, label_counts
from datamodules.longest_batch import longest_batch, require_gpu, resumed_batch_size
from datamodules.pieces import RECORD, VocabularyTrimming, trim_to_rows, write_record
from datamodules.position import ResumableDataModule
from datamodules.preparation import Encoding, column, prepare
from datamodules.report import DataReport
from datamodules.report_file import report_file
from datamodules.sampling import EvaluationSampler, Share, TrainingSampler
from datamodules.sources import SPLITS, SummarizationSource
from datamodules.tokenize import TruncateTargets
from datamodules.tokenizer import load_tokenizer, tokenizer_fingerprint


class BilingualDataModule(ResumableDataModule):
    """Concatenates summarisation corpora of two or more languages (or one).

    Args:
        sources: The corpora; every language's rows of a split stand one after the other.
        tokenizer: Folder or hub id of the tokenizer; the command line takes it from `model.base`.
        revision: Branch, tag or commit of the tokenizer on the hub; taken from `model.revision`.
        max_source_tokens: Greatest length of an encoded article, `</s>` included; at least 2.
        max_target_tokens: Greatest length of an encoded summary, `</s>` included; at least 2.
        truncate_targets: What becomes of a longer summary: `sentence` keeps the whole sentences that fit, `token` cuts
            anywhere (both still end in `</s>`), `drop` leaves the row out.
        batch_size: Rows of a training batch on each device. `auto` tries before training how many fit into the GPU's
            memory, and takes as many on every device; a resumed run keeps what its checkpoint had.
        eval_batch_size: Rows of a batch of the longest articles in validation, test and prediction on each device.
        eval_batch_growth: Batches of shorter articles hold up to so many times as many rows, see `EvaluationSampler`;
            at least 1, which makes all equal.
        temperature: Language sampling temperature of an epoch, at least 1: 1 keeps the natural proportions, 3 lifts
            small languages, .inf makes all equal.
        train_caps: Greatest number of training rows by language, over all its sources.
        prefixes: Text before each article by language.
        keep_clear_of: Corpora that will judge the model: rows with an article of their validation or test rows (of all
            rows, where they have neither) are left out, and so are gap-sentence passages that share 13 words in a row
            with one.
        vocabulary: Leave the model only the pieces that the training rows need and a reserve: less memory, faster
            losses and generation (docs/vocabulary.md). Null keeps all.
        known_texts: UTF-8 text files by language whose words count as known beside those that ship with the project and
            those of the training rows, see `metrics.invented_words`.
        strict: Refuse to start when any row had to be left out, instead of reporting it.
        padding: Shapes of the batches.
        num_workers: Processes that collate batches.
        num_proc: Processes for checking and encoding; null is one for each CPU.
        seed: Fixes the order of the training rows.

    Raises:
        ValueError: If a number is out of range or `strict` refuses the data.
    """

    def __init__(
        self,
        sources: list[SummarizationSource],
        tokenizer: str,
        revision: str | None = None,
        max_source_tokens: int = 512,
        max_target_tokens: int = 128,
        truncate_targets: TruncateTargets = "sentence",
        batch_size: int | Literal["auto"] = 8,
        eval_batch_size: int = 32,
        eval_batch_growth: int = 4,
        temperature: float = 1.0,
        train_caps: dict[str, int] | None = None,
        prefixes: dict[str, str] | None = None,
        keep_clear_of: list[SummarizationSource] | None = None,
        vocabulary: VocabularyTrimming | None = None,
        known_texts: dict[str, list[str]] | None = None,
        strict: bool = False,
        padding: Padding = Padding(),
        num_workers: int = 2,
        num_proc: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not sources:
            raise ValueError("data.sources is empty; name at least one corpus (see configs/data/).")
        for name, value, bound in (
            ("max_source_tokens", max_source_tokens, 2),
            ("max_target_tokens", max_target_tokens, 2),
            ("batch_size", 1 if batch_size == "auto" else batch_size, 1),
            ("eval_batch_size", eval_batch_size, 1),
            ("eval_batch_growth", eval_batch_growth, 1),
            ("temperature", temperature, 1),
            ("num_workers", num_workers, 0),
            *((f"train_caps.{language}", cap, 0) for language, cap in (train_caps or {}).items()),
        ):
            if not value >= bound:
                raise ValueError(f"data.{name} is {value}; it must be at least {bound}.")
        _require_known_languages("train_caps", train_caps, sources)
        _require_known_languages("prefixes", prefixes, sources)
        _require_known_languages("known_texts", known_texts, sources)
        self.sources = sources
        self.tokenizer_path, self.tokenizer_revision = tokenizer, revision
        self.encoding = Encoding(
            max_source_tokens, max_target_tokens, truncate_targets, prefixes or {}, train_caps or {}
        )
        self.batch_size = 0 if batch_size == "auto" else batch_size  # 0 until it is found
        self.eval_batch_size, self.eval_batch_growth = eval_batch_size, eval_batch_growth
        self.temperature, self.seed, self.strict, self.padding = temperature, seed, strict, padding
        self.num_workers, self.num_proc = num_workers, num_proc
        self.vocabulary, self._known = vocabulary, KnownWords(known_texts or {})
        self.keep_clear_of = keep_clear_of or []
        self.kept_pieces: torch.Tensor | None = None
        self.report: DataReport | None = None
        self._splits: dict[str, datasets.Dataset] = {}

    @property
    def languages(self) -> list[str]:
        """The languages, each once, in the order of the sources."""
        return list(dict.fromkeys(source.language for source in self.sources))

    def prepare_data(self) -> None:
        """Downloads, checks and encodes everything into the cache, shows the report; on one process of each node."""
        if not self.batch_size and self.trainer is not None and self.trainer.state.fn == "fit":
            require_gpu(self.trainer.strategy.root_device)
        self._known.require_files()
        self._load()
        assert self.report is not None
        self.report.print()
        if self.trainer is not None:
            self.report.save(report_file(self.trainer))
        problems = self.report.problems()
        problems.pop("other_split", None)  # the source says that it does not use them
        if self.strict and problems:
            counts = ", ".join(f"{reason} {count}" for reason, count in problems.items())
            raise ValueError(f"data.strict refuses rows that would be left out: {counts}. Mend them, or strict: false.")

    def setup(self, stage: str) -> None:
        """Opens what `prepare_data` left in the cache."""
        if not self._splits:
            self._load()
        assert self.report is not None
        if stage == "fit" and self.trainer is not None:
            for logger in self.trainer.loggers:
                logger.log_metrics(self.report.scalars(), step=self.trainer.global_step)
            if self.kept_pieces is not None and self.trainer.is_global_zero:
                folder = Path(self.trainer.default_root_dir)
                write_record(folder / RECORD, self.kept_pieces.numpy(), self.tokenizer_fingerprint)

    def rows(self, split: str) -> datasets.Dataset:
        """The encoded rows of `train`, `validation` or `test`.

        Raises:
            ValueError: If no source has a usable row of it.
        """
        if not len(self._splits.get(split, ())):
            raise ValueError(f"No source has a usable row of {split}; it is needed here. Add one, or set `hold_out`.")
        return self._splits[split]

    def known_words(self, language: str) -> frozenset[str]:
        """Lower-case words that are not invented in a language; read when first asked for."""
        return self._known.of(language, self._splits.get("train"))

    def train_dataloader(self) -> DataLoader:
        """Batches of the training rows, drawn anew each epoch; begins where a loaded checkpoint stopped.

        All have `batch_size` rows: the last of an epoch is filled up with rows without labels.
        """
        rows, trainer = self.rows("train"), self.trainer
        self.batch_size = self.batch_size or self._find_batch_size()
        sampler = TrainingSampler(
            lengths=self._source_lengths("train"),
            languages=column(rows, "language"),
            label_tokens=label_counts(rows),
            batch_size=self.batch_size,
            temperature=self.temperature,
            seed=self.seed,
            accumulated_batches=trainer.accumulate_grad_batches if trainer is not None else 1,
            **self._place(),
        )
        self._take_up(sampler)
        return self._loader("train", sampler)

    def longest_batch(self, rows: int) -> SummarizationBatch:
        """A made-up training batch of so many rows, all as long as the longest."""
        targets = column(self.rows("train"), "target_tokens").clip(max=self.encoding.max_target_tokens)
        longest = int(self._source_lengths("train").max()), int(targets.max())
        return longest_batch(self._collator(rows), rows, *longest)

    def val_dataloader(self) -> DataLoader:
        """Batches of the validation rows, longest first."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> DataLoader:
        """Batches of the test rows, longest first."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader:
        """Batches of the test rows, longest first."""
        return self.test_dataloader()

    def _order(self) -> dict[str, Any]:
        assert self.report is not None
        rows = ",".join(split.fingerprint for split in self.report.splits if split.split == "train")
        return {
            "rows": rows,
            "global_batch_size": self.batch_size * self._place()["world_size"],
            "temperature": float(self.temperature),
            "seed": self.seed,
        }

    def _load(self) -> None:
        self.open_tokenizer()
        self._splits, self.report = self._prepare()

    def open_tokenizer(self) -> None:
        """Sets `tokenizer`, `tokenizer_fingerprint` and `kept_pieces`: (K,) int64 ids of the base, or None for all.

        Raises:
            ValueError: If there is no such tokenizer, or `vocabulary` finds no training rows.
        """
        self.tokenizer = load_tokenizer(self.tokenizer_path, self.tokenizer_revision)
        self.tokenizer_fingerprint, self.kept_pieces = tokenizer_fingerprint(self.tokenizer), None
        if self.vocabulary is not None:
            # Counted are the training rows as the base would see them: cut, capped and with their prefixes.
            rows = None if self.vocabulary.file else self._prepare(["train"])[0].get("train")
            self.kept_pieces = torch.from_numpy(trim_to_rows(self.tokenizer, rows, self.vocabulary))
            self.tokenizer_fingerprint = tokenizer_fingerprint(self.tokenizer)

    def _prepare(self, splits: Sequence[str] = SPLITS) -> tuple[dict[str, datasets.Dataset], DataReport]:
        return prepare(
            self.sources,
            self.encoding,
            self.tokenizer,
            self.tokenizer_fingerprint,
            self.num_proc,
            splits,
            self.keep_clear_of,
        )

    def _source_lengths(self, split: str) -> np.ndarray:
        return column(self.rows(split), "source_tokens").clip(max=self.encoding.max_source_tokens)

    def _evaluation_loader(self, split: str) -> DataLoader:
        rows, place = self.rows(split), self._place()
        if len(rows) < place["world_size"]:
            raise ValueError(
                f"{len(rows)} {split} rows leave some of {place['world_size']} devices without any; use fewer devices."
            )
        sampler = EvaluationSampler(
            lengths=self._source_lengths(split),
            batch_size=self.eval_batch_size,
            max_length=self.encoding.max_source_tokens,
            growth=self.eval_batch_growth,
            **place,
        )
        return self._loader(split, sampler)

    def _loader(self, split: str, sampler: Sampler[Share]) -> DataLoader:
        training = split == "train"
        rows = EncodedRows(self.rows(split), texts=not training)
        collator = self._collator(self.batch_size if training else None)
        return build_loader(rows, sampler, collator, self.num_workers, self.seed)

    def _collator(self, rows: int | None) -> SummarizationCollator:
        return SummarizationCollator(
            pad_id=self.tokenizer.pad_token_id,  # type: ignore[arg-type]
            eos_id=self.tokenizer.eos_token_id,  # type: ignore[arg-type]
            languages=self.languages,
            rows=rows,
            padding=self.padding,
        )

    def _find_batch_size(self) -> int:
        world_size = self._place()["world_size"]
        if self._resume is not None:
            return resumed_batch_size(self._resume["order"]["global_batch_size"], world_size)
        if self.trainer is None:
            raise ValueError("data.batch_size auto needs a trainer, whose GPU it fills; give a number.")
        limit = -(-len(self.rows("train")) // world_size)
        return self.trainer.lightning_module.find_batch_size(self.longest_batch, limit)  # type: ignore[operator]


def _require_known_languages(name: str, values: dict[str, Any] | None, sources: list[SummarizationSource]) -> None:
    known = list(dict.fromkeys(source.language for source in sources))
    for language in values or {}:
        if language not in known:
            raise ValueError(f"data.{name} names language {language!r}, but the sources have {', '.join(known)}.")
