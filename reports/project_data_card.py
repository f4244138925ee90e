"""The card of the data that ship with the project and of those that it was measured with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from reports.card_tables import UNKNOWN, left_out, table
from reports.comparison.findings import Findings
from reports.known_corpora import KnownCorpora
from reports.template import markdown_template


def project_data_card(corpora: KnownCorpora, studies: Sequence[Findings], configurations: Path) -> str:
    """The card in Markdown; no row of the data is in it.

    Args:
        corpora: What is known of those that were measured with.
        studies: Whose runs say which rows were used.
        configurations: Folder of the configurations that name corpora of the hub.
    """
    return markdown_template("project_data_card.md.j2").render(
        pairs=_pairs(corpora),
        texts=_texts(corpora),
        studies=[(one.title, _used(one)) for one in studies],
        hub=_hub(configurations),
    )


def _pairs(corpora: KnownCorpora) -> str:
    rows = [
        [
            *(f"`{name}`", one["language"], one["what"]),
            *(f"{count:,}" for count in one["rows"]),
            *("{} / {}".format(*one["words"]), one["licence"], one["flaws"].strip() or "–"),
        ]
        for name, one in corpora.pairs.items()
    ]
    head = ["corpus", "language", "what it is", "train", "validation", "test", "mean words: article / summary"]
    return table([*head, "licence", "known flaws"], rows)


def _texts(corpora: KnownCorpora) -> str:
    rows = [
        [
            f"`{name}`",
            *(one[key] for key in ("language", "what", "mb", "words", "licence")),
            one["flaws"].strip() or "–",
        ]
        for name, one in corpora.texts.items()
    ]
    head = ["corpus", "language", "what it is", "MB", "million words", "licence", "known flaws"]
    return table(head, rows)


def _used(findings: Findings) -> str:
    """Rows of each part of each corpus in the runs of a study."""
    splits: dict[str, dict[str, Any]] = {}
    for split in (split for system in findings.systems for run in system.runs for split in run.splits):
        splits.setdefault(split["fingerprint"], split)
    rows = [
        [
            *(f"`{Path(one['source']).name}`", one["language"], one["split"], f"{one['read']:,}", f"{one['kept']:,}"),
            *(left_out([one]), _lengths(one["source_tokens"]), _lengths(one["target_tokens"])),
        ]
        for one in splits.values()
    ]
    head = ["corpus", "language", "part", "read", "used", "left out", "article tokens", "summary tokens"]
    return table(head, rows)


def _lengths(lengths: dict[str, Any]) -> str:
    return f"{' / '.join(map(str, lengths['percentiles'].values()))}, {lengths['truncated']:.1%}"


def _hub(configurations: Path) -> str:
    """Corpora that the shipped configurations name."""
    rows = []
    for file in sorted(configurations.glob("*.yaml")):
        data = yaml.safe_load(file.read_text(encoding="utf-8"))["data"]["init_args"]
        for source in data["sources"]:
            if not Path(source["path"]).suffix:
                named = (f"`{source['path']}`", source["language"], source.get("licence") or UNKNOWN)
                rows.append([*named, f"`{file.name}`"])
    return table(["corpus", "language", "licence", "configuration"], rows)
