"""From sources to encoded datasets and their report; every slow step is cached under a name of all that decides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import datasets
import numpy as np
import xxhash
from transformers import PreTrainedTokenizerBase

from datamodules.code_fingerprint import cache_key
from datamodules.local_files import split_key
from datamodules.raw_splits import open_split
from datamodules.report import DataReport, SplitReport, TokenLengths
from datamodules.row_cache import audited_rows, encoded_rows
from datamodules.sources import SPLITS, SummarizationSource
from datamodules.tokenize import TruncateTargets
from datamodules.validation import count_problems, mark_duplicates

_SAMPLE_SEED = 0


@dataclass(frozen=True)
class Encoding:
    """Everything beside the sources that decides the encoded rows; see `BilingualDataModule` for the meanings."""

    max_source_tokens: int
    max_target_tokens: int
    truncate_targets: TruncateTargets
    prefixes: dict[str, str]
    train_caps: dict[str, int]


@dataclass(frozen=True)
class _Part:
    source: SummarizationSource
    split: str
    rows: datasets.Dataset
    problems: np.ndarray
    fingerprint: str


def prepare(
    sources: list[SummarizationSource],
    encoding: Encoding,
    tokenizer: PreTrainedTokenizerBase,
    tokenizer_fingerprint: str,
    num_proc: int | None = None,
    splits: Sequence[str] = SPLITS,
    keep_clear_of: Sequence[SummarizationSource] = (),
) -> tuple[dict[str, datasets.Dataset], DataReport]:
    """Loads and validates all splits of all sources, and encodes them.

    Args:
        sources: The corpora.
        encoding: Limits and prefixes.
        tokenizer: From `load_tokenizer`.
        tokenizer_fingerprint: Its name for the cache.
        num_proc: Processes for the slow steps; null is one for each CPU.
        splits: Which ones to encode and to report.
        keep_clear_of: Corpora whose validation and test articles (all, where they have neither) may stand in no split.

    Returns:
        By split, the rows of all sources one after the other (columns `id`, `language`, `article`, `summary`,
        `input_ids`, `labels`, `source_tokens`, `target_tokens`); and the report on what was left out.

    Raises:
        ValueError: If a source cannot be read; see `open_split`.
    """
    judged = [_keys(part) for source in keep_clear_of for part in _judging(_audit(source, num_proc))]
    audited = _mark_across([part for source in sources for part in _audit(source, num_proc, keep_clear_of)], judged)
    parts = [part for part in audited if part.split in splits]
    room = dict(encoding.train_caps)
    datasets_by_split: dict[str, list[datasets.Dataset]] = {split: [] for split in SPLITS}
    reports = []
    for part in parts:
        rows, report = _encode(part, encoding, tokenizer, tokenizer_fingerprint, room, num_proc)
        datasets_by_split[part.split].append(rows)
        reports.append(report)
    merged = {split: datasets.concatenate_datasets(rows) for split, rows in datasets_by_split.items() if rows}
    return merged, DataReport(reports)


def column(rows: datasets.Dataset, name: str) -> np.ndarray:
    """One column as an array; (0,) int64 for an empty dataset."""
    return np.asarray(rows.with_format("numpy")[name][:]) if len(rows) else np.empty(0, np.int64)


def _audit(
    source: SummarizationSource, num_proc: int | None, keep_clear_of: Sequence[SummarizationSource] = ()
) -> list[_Part]:
    names = [getattr(source.splits, split) for split in SPLITS]
    known = [split_key(name) for name in names if name]
    unknown = "unknown_split" if all(names) else "other_split"
    parts = []
    for split in SPLITS:
        raw = open_split(source, split, keep_clear_of)
        if raw is None:
            continue
        known_splits = known if source.columns.split else None
        rows, fingerprint = audited_rows(raw, known_splits, unknown, f"{source.describe()} {split}", num_proc)
        parts.append(_Part(source, split, rows, column(rows, "problem"), fingerprint))
    return _hold_out(parts[0]) if source.hold_out else parts


def _judging(parts: list[_Part]) -> list[_Part]:
    return [part for part in parts if part.split != "train"] or parts


def _hold_out(part: _Part) -> list[_Part]:
    # A hash of the article decides, so that a row never changes sides when the corpus grows.
    position = (_keys(part).astype(np.uint64) % np.uint64(10_000)) / 10_000
    usable = part.problems == ""
    share = part.source.hold_out
    bounds = {"validation": (0, share), "test": (share, 2 * share), "train": (2 * share, 1)}
    parts = []
    for split in SPLITS:
        low, high = bounds[split]
        inside = usable & (position >= low) & (position < high)
        if not inside.any():
            left_out = ", ".join(f"{reason} {count}" for reason, count in count_problems(part.problems).items())
            raise ValueError(
                f"hold_out {share} of the {usable.sum()} usable rows of {part.source.describe()!r} leaves {split} "
                f"empty; change it or give separate splits.{f' Left out: {left_out}.' if left_out else ''}"
            )
        # Unusable rows have no key: they stay in train, to be counted there.
        chosen = np.flatnonzero(inside | ~usable if split == "train" else inside)
        fingerprint = f"{part.fingerprint} {split} {share}"
        parts.append(_Part(part.source, split, part.rows.select(chosen), part.problems[chosen], fingerprint))
    return parts


def _mark_across(parts: list[_Part], judged: Sequence[np.ndarray]) -> list[_Part]:
    """Marks duplicates within a split and leaks between splits, over all sources together; `judged` leak into all."""
    usable = {
        split: np.concatenate(
            [np.empty(0, np.int64), *(_keys(part)[part.problems == ""] for part in parts if part.split == split)]
        )
        for split in SPLITS
    }
    judges = {
        "train": np.concatenate([usable["validation"], usable["test"], *judged]),
        "validation": np.concatenate([usable["test"], *judged]),
        "test": np.concatenate([np.empty(0, np.int64), *judged]),
    }
    marked = []
    for split in SPLITS:
        members = [part for part in parts if part.split == split]
        if not members:
            continue
        keys = np.concatenate([_keys(part) for part in members])
        problems = mark_duplicates(keys, np.concatenate([part.problems for part in members]), judges[split])
        ends = np.cumsum([len(part.rows) for part in members])[:-1]
        marked += [replace(part, problems=own) for part, own in zip(members, np.split(problems, ends), strict=True)]
    return marked


def _encode(
    part: _Part,
    encoding: Encoding,
    tokenizer: PreTrainedTokenizerBase,
    tokenizer_fingerprint: str,
    room: dict[str, int],
    num_proc: int | None,
) -> tuple[datasets.Dataset, SplitReport]:
    language = part.source.language
    valid = np.flatnonzero(part.problems == "")
    chosen = _sample(valid, _limit(part, room))
    prefix = part.source.prefix if part.source.prefix is not None else encoding.prefixes.get(language, "")
    settings = {
        "prefix": prefix,
        "max_source_tokens": encoding.max_source_tokens,
        "max_target_tokens": encoding.max_target_tokens,
        "truncate_targets": encoding.truncate_targets,
    }
    places = xxhash.xxh3_128_hexdigest(chosen.tobytes())
    fingerprint = cache_key("datamodules.row_cache", part.fingerprint, places, tokenizer_fingerprint, settings)
    rows = part.rows.select(chosen).remove_columns(["problem", "key"])
    description = f"{part.source.describe()} {part.split}"
    rows = encoded_rows(rows, fingerprint, tokenizer, settings, description, num_proc)
    problems = count_problems(part.problems)
    if encoding.truncate_targets == "drop":
        fits = column(rows, "target_tokens") <= encoding.max_target_tokens
        problems |= {"target_too_long": int((~fits).sum())} if not fits.all() else {}
        rows = rows.select(np.flatnonzero(fits))
    if part.split == "train" and language in room:
        room[language] -= len(rows)
    rows = rows.add_column("language", [language] * len(rows))
    report = SplitReport(
        source=part.source.describe(),
        language=language,
        split=part.split,
        read=len(part.rows),
        problems=problems,
        over_limit=len(valid) - len(chosen),
        kept=len(rows),
        source_tokens=TokenLengths.measure(column(rows, "source_tokens"), encoding.max_source_tokens),
        target_tokens=TokenLengths.measure(column(rows, "target_tokens"), encoding.max_target_tokens),
        fingerprint=fingerprint,
    )
    return rows, report


def _limit(part: _Part, room: dict[str, int]) -> int | None:
    limit = getattr(part.source.limits, part.split)
    cap = room.get(part.source.language) if part.split == "train" else None
    bounds = [bound for bound in (limit, cap) if bound is not None]
    return min(bounds) if bounds else None


def _sample(rows: np.ndarray, limit: int | None) -> np.ndarray:
    """A fixed random sample in the original order: files are often sorted, so the first rows would be a biased one."""
    if limit is None or limit >= len(rows):
        return rows
    return np.sort(np.random.default_rng(_SAMPLE_SEED).permutation(rows)[: max(limit, 0)])


def _keys(part: _Part) -> np.ndarray:
    return column(part.rows, "key")
