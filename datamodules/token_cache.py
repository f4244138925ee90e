"""Texts as one long row of token ids on the disk: made once, then read by any number of processes without copying."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tokenizers
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from datamodules.cache import CONTENTS, cached_folder, damage
from datamodules.code_fingerprint import cache_key
from datamodules.corpus_sources import CorpusSource, fingerprint_texts, read_documents
from datamodules.validation import article_key, has_letter, is_blank, is_utf8

RECORD = "record.json"
SPLITS = ("train", "validation")
# The texts explain the reasons in the report.
REASONS = {
    "unreadable": "the line is no valid record, or not UTF-8, or holds NUL",
    "empty": "the document is blank",
    "not_text": "the document is no text, or holds no letter",
    "duplicate": "the same document stands earlier in the source",
}
_DOCUMENTS = 1_000  # encoded at once


@dataclass(frozen=True)
class TokenFile:
    """Documents one after the other, each followed by `</s>`.

    Attributes:
        path: The file.
        dtype: `uint16`, or `int32` for vocabularies that it does not hold.
        count: Tokens in it.
    """

    path: Path
    dtype: str
    count: int

    @cached_property
    def tokens(self) -> np.ndarray:
        """(count,) ids, mapped into memory on first use, in each process for itself."""
        if not self.count:
            return np.empty(0, self.dtype)
        return np.asarray(np.memmap(self.path, self.dtype, "r", shape=(self.count,)))


@dataclass(frozen=True)
class EncodedCorpus:
    """One source in the cache.

    Attributes:
        folder: Where it lies.
        record: What is known of it, as in its `record.json`.
    """

    folder: Path
    record: dict[str, Any]

    def split(self, name: str) -> TokenFile:
        """The tokens of `train` or `validation`."""
        return TokenFile(self.folder / f"{name}.bin", self.record["dtype"], self.record["splits"][name]["tokens"])


def encode_corpus(
    source: CorpusSource, tokenizer: PreTrainedTokenizerBase, tokenizer_fingerprint: str, hold_out: float, cache: Path
) -> EncodedCorpus:
    """Opens a source in the cache; reads, checks and encodes it first if it is not there.

    Args:
        source: The texts.
        tokenizer: From `load_tokenizer`.
        tokenizer_fingerprint: Its name.
        hold_out: Share of the documents for validation, in [0, 0.5), chosen by a hash of the document so that it
            stays the same when documents are added.
        cache: Folder of all encoded sources.

    Raises:
        ValueError: If the source cannot be read, or is a folder of tokens of another language or tokenizer.
    """
    if any((Path(source.path) / name).is_file() for name in (RECORD, CONTENTS)):
        return _open_given(source, tokenizer_fingerprint)
    name = cache_key(__name__, fingerprint_texts(source), source.column, tokenizer_fingerprint, hold_out)
    stem = re.sub(r"[^\w-]", "", Path(source.path).name.split(".")[0]) or "texts"

    def make(folder: Path) -> None:
        record = _encode(source, tokenizer, hold_out, folder)
        record |= {"tokenizer": tokenizer_fingerprint, "fingerprint": name}
        (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    # The version is no part of the fingerprint: a run may go on with another one.
    folder = cache / f"{source.language}-{stem}-{name}-tokenizers-{tokenizers.__version__}"
    return _open(cached_folder(folder, make), source, tokenizer_fingerprint)


def _open_given(source: CorpusSource, tokenizer_fingerprint: str) -> EncodedCorpus:
    folder = Path(source.path)
    found = damage(folder)
    if found:
        raise ValueError(
            f"The tokens in {source.path!r} are damaged ({found}). Copy the folder again, or name the texts in "
            "data.sources instead."
        )
    return _open(folder, source, tokenizer_fingerprint)


def _open(folder: Path, source: CorpusSource, tokenizer_fingerprint: str) -> EncodedCorpus:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    for what, wanted in (("language", source.language), ("tokenizer", tokenizer_fingerprint)):
        if record[what] != wanted:
            raise ValueError(
                f"The tokens in {str(folder)!r} have the {what} {record[what]}, but {wanted} is needed. Name the texts "
                "in data.sources instead, or the language or model.base that the tokens are of."
            )
    return EncodedCorpus(folder, record)


def _encode(source: CorpusSource, tokenizer: PreTrainedTokenizerBase, hold_out: float, folder: Path) -> dict[str, Any]:
    """Writes the token files and returns the record."""
    dtype = "uint16" if len(tokenizer) <= 1 << 16 else "int32"
    found: Counter[str] = Counter()
    splits = {split: {"documents": 0, "tokens": 0} for split in SPLITS}
    documents = _usable(source, found)
    with (folder / "train.bin").open("wb") as train, (folder / "validation.bin").open("wb") as validation:
        files: dict[str, BinaryIO] = {"train": train, "validation": validation}
        batches = iter(lambda: list(itertools.islice(documents, _DOCUMENTS)), [])
        for batch in track(batches, f"Encoding {source.path}, thousands of documents"):
            encoded = tokenizer([text for text, _ in batch], add_special_tokens=False, verbose=False).input_ids
            for ids, (_, key) in zip(encoded, batch, strict=True):
                split = "validation" if (key % 10_000) / 10_000 < hold_out else "train"
                files[split].write(np.array([*ids, tokenizer.eos_token_id], dtype).tobytes())
                splits[split]["documents"] += 1
                splits[split]["tokens"] += len(ids) + 1
    if not found["used"]:
        raise ValueError(f"Source {source.path!r} ({source.language}) has no usable document of {found['read']}.")
    problems = {reason: found[reason] for reason in REASONS if found[reason]}
    name = Path(source.path).name
    record = {"source": name, "language": source.language, "dtype": dtype, "hold_out": hold_out}
    return record | {"read": found["read"], "problems": problems, "splits": splits}


def _usable(source: CorpusSource, found: Counter[str]) -> Iterator[tuple[str, int]]:
    """Usable documents and their hashes; counts them, and the others by reason."""
    seen: set[int] = set()
    for document in read_documents(source):
        found["read"] += 1
        reason = _judge(document)
        key = 0 if reason else article_key(document)
        reason = "duplicate" if not reason and key in seen else reason
        found[reason or "used"] += 1
        if not reason:
            seen.add(key)
            yield document.strip(), key


def _judge(document: Any) -> str:
    if document is None:
        return "unreadable"
    if not isinstance(document, str):
        return "not_text"
    if is_blank(document):
        return "empty"
    if not is_utf8(document):
        return "unreadable"
    return "" if has_letter(document) else "not_text"
