"""What was read of plain texts, what was left out and why, and how many tokens and blocks they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from datamodules.token_cache import REASONS, SPLITS, EncodedCorpus


@dataclass(frozen=True)
class CorpusSplit:
    """One split of one source.

    Attributes:
        source: Name of the file or data set.
        language: Its language code.
        split: `train` or `validation`.
        documents: Documents used.
        tokens: Their tokens, a `</s>` for each document included.
        blocks: Whole blocks that they make.
        fingerprint: Names the tokens.
    """

    source: str
    language: str
    split: str
    documents: int
    tokens: int
    blocks: int
    fingerprint: str


@dataclass(frozen=True)
class CorpusReport:
    """All sources.

    Attributes:
        splits: What is used.
        problems: Documents left out, by source and reason (see `token_cache.REASONS`).
        folders: Where the tokens of each source lie.
    """

    splits: list[CorpusSplit]
    problems: dict[str, dict[str, int]]
    folders: dict[str, str]

    @classmethod
    def of(cls, corpora: Sequence[EncodedCorpus], block_tokens: int) -> CorpusReport:
        """Describes encoded sources, to be cut into blocks of so many raw tokens."""
        records = [corpus.record for corpus in corpora]
        splits = [
            CorpusSplit(
                record["source"],
                record["language"],
                split,
                **record["splits"][split],
                blocks=record["splits"][split]["tokens"] // block_tokens,
                fingerprint=f"{record['fingerprint']}-{split}",
            )
            for record in records
            for split in SPLITS
        ]
        problems = {record["source"]: record["problems"] for record in records}
        return cls(splits, problems, {corpus.record["source"]: str(corpus.folder) for corpus in corpora})

    def save(self, path: Path) -> None:
        """Writes JSON, creating the folder; without the places of this machine's cache."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"splits": [asdict(split) for split in self.splits], "problems": self.problems}
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    def scalars(self) -> dict[str, float]:
        """Numbers for a logger: `data/<split>/tokens/<language>`, summed over the sources of a language."""
        scalars: dict[str, float] = {}
        for split in self.splits:
            key = f"data/{split.split}/tokens/{split.language}"
            scalars[key] = scalars.get(key, 0) + split.tokens
        return scalars

    def print(self, console: Console | None = None) -> None:
        """Draws the table, why documents were left out, and where the tokens lie."""
        console = console or Console(width=140)
        table = Table(title="Texts", title_justify="left")
        for heading in ("source", "lang", "split", "documents", "tokens", "blocks"):
            table.add_column(heading, justify="left" if heading in ("source", "lang", "split") else "right")
        for one in self.splits:
            counts = (f"{count:,}" for count in (one.documents, one.tokens, one.blocks))
            table.add_row(one.source, one.language, one.split, *counts)
        console.print(table)
        for source, problems in self.problems.items():
            for reason, count in problems.items():
                console.print(f"  {source}: {reason} {count:,} ({REASONS[reason]})", highlight=False)
        for source, folder in self.folders.items():
            console.print(f"  tokens of {source}: {folder}", highlight=False, soft_wrap=True)
