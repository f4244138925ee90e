"""What the systems learnt from and were tested on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from metrics.words import words
from reports.card_tables import UNKNOWN, left_out, table
from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.figure_style import COLOURS, LINES, legend_below, save_figure
from reports.section import Section

_BINS = 30
_PARTS = ("train", "validation", "test")


def data_section(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> Section:
    """Rows and lengths of every corpus, and how long articles, references and summaries of the test are."""
    reports: dict[str, dict[str, Any]] = {}
    for split in (split for system in systems for run in system.runs for split in run.splits):
        reports.setdefault(split["fingerprint"], split)
    rows = [_row(split) for split in reports.values()]
    head = [
        *("corpus", "lang", "split", "read", "used", "left out"),
        *("article tokens: median / 90% / 99% / longest", "cut", "summary tokens", "cut"),
    ]
    note = "Tokens before cutting; *cut* is the share of longer texts. Of each part the rows of one run."
    picture = _draw(systems, scores, folder)
    figure = f"![Lengths of articles, references and summaries in words]({picture})"
    return Section("Data", f"{note}\n\n{table(head, rows)}\n\n{figure}")


def data_rows(systems: Sequence[System]) -> list[list[str]]:
    """A head, and a row for each corpus: rows used of each part, median lengths, and licences if any was recorded."""
    runs = [run for system in systems for run in system.runs]
    corpora: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for split in (split for run in runs for split in run.splits):
        corpora.setdefault((split["language"], split["source"]), {}).setdefault(split["split"], split)
    rows = [["language", "corpus", *_PARTS, "article tokens", "summary tokens", "licence"]]
    licences = {key: value for run in runs for key, value in run.licences.items()}
    for (language, source), splits in sorted(corpora.items()):
        counts = (f"{splits[name]['kept']:,}" if name in splits else "–" for name in _PARTS)
        one = splits.get("train") or next(iter(splits.values()))
        medians = (f"{one[kind]['percentiles']['p50']:,}" for kind in ("source_tokens", "target_tokens"))
        rows.append([language, Path(source).name, *counts, *medians, licences.get((language, source)) or UNKNOWN])
    return rows if any(licences.values()) else [row[:-1] for row in rows]


def _row(split: dict[str, Any]) -> list[object]:
    cells: list[object] = [f"`{Path(split['source']).name}`", split["language"], split["split"]]
    cells += [f"{split['read']:,}", f"{split['kept']:,}", left_out([split])]
    for lengths in (split["source_tokens"], split["target_tokens"]):
        cells += [" / ".join(str(value) for value in lengths["percentiles"].values()), f"{lengths['truncated']:.1%}"]
    return cells


def _draw(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> str:
    """A row for each language: words of the articles; words of references and of each system's summaries."""
    size = (11, 0.8 + 3.2 * len(scores))
    figure, axes = plt.subplots(len(scores), 2, figsize=size, layout="constrained", squeeze=False)
    for (left, right), one in zip(axes, scores, strict=True):
        present = [system for system in systems if system.name in one.tables]
        rows = [present[0].first.predictions[one.language, name] for name in one.ids]
        left.hist([len(words(row["article"])) for row in rows], bins=_BINS, color=COLOURS[0])
        left.set(title=f"{one.language}: words of the test articles", ylabel="articles")
        lengths = {"references": [len(words(row["reference"])) for row in rows]}
        for system in present:
            summaries = (system.first.predictions[one.language, name]["prediction"] for name in one.ids)
            lengths[system.name] = [len(words(text)) for text in summaries]
        for number, (name, values) in enumerate(lengths.items()):
            look = {"color": COLOURS[6] if not number else COLOURS[(number - 1) % 6], "linewidth": 1.5}
            look["linestyle"] = "-" if not number else LINES[(number - 1) % len(LINES)]
            right.ecdf(values, label=name, **look)
        right.set(title=f"{one.language}: share of summaries with at most so many words", xlim=(0, None))
        right.grid(alpha=0.3)
    legend_below(figure, axes[0, 1])
    return save_figure(figure, folder, "lengths")
