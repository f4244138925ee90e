"""What was read, what was left out and why, and how long the texts are: a table, and the same as JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from datamodules.validation import REASONS

PERCENTILES = (50, 90, 99, 100)
# Fewer held-out rows than this are said to be few.
ENOUGH_HELD_OUT = 100
# Of ROUGE-1 between articles: 150 Turkish ones have the 95% interval 16.2 to 20.0 in h200_case_study.json, and 12 is
# (20.0 - 16.2) / 2 * sqrt(150) / 1.96.
_DEVIATION = 12.0


@dataclass(frozen=True)
class TokenLengths:
    """Lengths before cutting, `</s>` included.

    Attributes:
        percentiles: Length in tokens at each of `PERCENTILES`.
        limit: The configured greatest length.
        truncated: Share of the rows that are longer, in [0, 1].
    """

    percentiles: dict[str, int]
    limit: int
    truncated: float

    @classmethod
    def measure(cls, lengths: np.ndarray, limit: int) -> TokenLengths:
        """Describes (rows,) lengths."""
        values = np.percentile(lengths, PERCENTILES, method="lower") if len(lengths) else np.zeros(len(PERCENTILES))
        return cls(
            percentiles={f"p{percent}": int(value) for percent, value in zip(PERCENTILES, values, strict=True)},
            limit=limit,
            truncated=float(np.mean(lengths > limit)) if len(lengths) else 0.0,
        )


@dataclass(frozen=True)
class SplitReport:
    """One split of one source.

    Attributes:
        source: The corpus.
        language: Its language code.
        split: `train`, `validation` or `test`.
        read: Rows found.
        problems: Rows left out, by reason (see `datamodules.validation.REASONS`).
        over_limit: Valid rows left out because a limit or cap was reached.
        kept: Rows used; `read` is the sum of `kept`, `over_limit` and all `problems`.
        source_tokens: Lengths of the articles used.
        target_tokens: Lengths of the summaries used.
        fingerprint: Names the rows used and how they were encoded.
    """

    source: str
    language: str
    split: str
    read: int
    problems: dict[str, int]
    over_limit: int
    kept: int
    source_tokens: TokenLengths
    target_tokens: TokenLengths
    fingerprint: str


@dataclass(frozen=True)
class DataReport:
    """All splits of all sources."""

    splits: list[SplitReport]

    def problems(self) -> dict[str, int]:
        """Rows left out over all splits, by reason."""
        total: dict[str, int] = {}
        for split in self.splits:
            for reason, count in split.problems.items():
                total[reason] = total.get(reason, 0) + count
        return {reason: total[reason] for reason in REASONS if reason in total}

    def warnings(self) -> list[str]:
        """Say which held-out sets are too small to tell models apart, and what interval their size allows."""
        kept: Counter[tuple[str, str]] = Counter()
        for part in self.splits:
            kept[part.split, part.language] += part.kept
        return [
            f"{split} {language}: {rows} rows are few; by chance of the articles alone, a mean ROUGE-1 is uncertain by "
            f"{1.96 * _DEVIATION / rows**0.5:.1f} points (95%, at a standard deviation of {_DEVIATION:.0f} between "
            f"articles); {ENOUGH_HELD_OUT} rows make it {1.96 * _DEVIATION / ENOUGH_HELD_OUT**0.5:.1f}."
            for (split, language), rows in kept.items()
            if split != "train" and 0 < rows < ENOUGH_HELD_OUT
        ]

    def as_dict(self) -> dict:
        """Plain data for JSON."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Writes JSON, creating the folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def scalars(self) -> dict[str, float]:
        """Numbers for a logger: `data/<split>/<what>/<language>`, summed over sources of a language."""
        scalars: dict[str, float] = {}
        for split in self.splits:
            left_out = sum(split.problems.values())
            for what, value in (("rows", split.kept), ("rows_left_out", left_out)):
                key = f"data/{split.split}/{what}/{split.language}"
                scalars[key] = scalars.get(key, 0) + value
        return scalars

    def print(self, console: Console | None = None) -> None:
        """Draws the table, the reasons for which rows were left out in words, and warnings."""
        console = console or _wide_console()
        table = Table(title="Data (tokens: median / 90% / 99% / longest, before cutting)", title_justify="left")
        for heading in ("source", "lang", "split", "read", "used", "left out"):
            table.add_column(heading, justify="right" if heading in ("read", "used") else "left", overflow="fold")
        for heading in ("article tokens", "cut", "summary tokens", "cut"):
            table.add_column(heading, justify="right", no_wrap=True)
        for split in self.splits:
            table.add_row(*_cells(split))
        console.print(table)
        for reason, count in self.problems().items():
            console.print(f"  {reason}: {count:,} ({REASONS[reason]})", highlight=False)
        for warning in self.warnings():
            console.print(f"  {warning}", highlight=False)


def _cells(split: SplitReport) -> list[str]:
    left_out = {**split.problems, **({"over limit": split.over_limit} if split.over_limit else {})}
    cells = [split.source.rsplit("/", 1)[-1], split.language, split.split, f"{split.read:,}", f"{split.kept:,}"]
    cells.append(", ".join(f"{reason} {count:,}" for reason, count in left_out.items()) or "-")
    for lengths in (split.source_tokens, split.target_tokens):
        cells += ["/".join(str(value) for value in lengths.percentiles.values()), f"{lengths.truncated:.1%}"]
    return cells


def _wide_console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=140)
