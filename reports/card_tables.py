"""Markdown tables of cards and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from metrics.significance import Interval
from reports.card_record import CardRecord
from reports.published_names import language_name, published_path
from reports.results import Results

UNKNOWN = "not recorded"
QUALITY = ("rouge1", "rouge2", "rougeL", "rougeLsum", "bertscore")
COLLAPSE = {
    "ended": "summaries that end by themselves",
    "sentinel_start": "that begin with an `<extra_id_N>`",
    "sentinel": "that hold one",
    "empty": "without a word",
    "repetition": "3-grams of a summary that it has used before",
    "length_ratio": "words of the summary over words of the reference",
    "wrong_language": "surely in another language",
    "copied": "that stand word for word in the article",
    "uniform": "that another article has got, too",
    "invented_words": "words that stand neither in the article nor among the known words",
}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are turned into text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |" for line in lines)


def cell(interval: Interval | None, digits: int = 2, signed: bool = False) -> str:
    """A mean with its interval; a dash for none."""
    if interval is None:
        return "–"
    kind = f"{'+' * signed}.{digits}f"
    # 0.0 makes of -0.0, which rounding leaves, 0.0.
    mean, low, high = (f"{round(value, digits) + 0.0:{kind}}" for value in (interval.mean, interval.low, interval.high))
    return f"{mean} [{low}, {high}]"


def left_out(splits: Iterable[dict[str, Any]]) -> str:
    """Why rows of some splits are not used, with their numbers.

    Args:
        splits: As in `data_report.json`.
    """
    counts: dict[str, int] = {}
    for split in splits:
        for reason, count in (split["problems"] | {"over limit": split["over_limit"]}).items():
            counts[reason] = counts.get(reason, 0) + count
    return ", ".join(f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items() if count) or "none"


def quality_table(results: Results) -> str:
    """Scores by language with their intervals, and those of the articles' first words and sentences."""
    languages = list(results.languages)
    named = {name for scores in results.languages.values() for name in scores}
    rows = [("model", name) for name in QUALITY if name in named]
    rows += [(name.split("_")[0], name) for name in sorted(named) if name.startswith("lead")]
    titles = {"model": "this model", "lead": "first words of the article", "lead1": "first sentence"}
    titles |= {f"lead{count}": f"first {count} sentences" for count in (2, 3)}
    return table(
        ["summary", "score", *map(language_name, languages)],
        (
            [
                titles.get(who, who),
                name.split("_")[-1],
                *(cell(results.languages[code].get(name)) for code in languages),
            ]
            for who, name in rows
        ),
    )


def collapse_table(results: Results) -> str:
    """Figures that show a model which does not summarise, by language."""
    languages = list(results.languages)
    named = {name for scores in results.languages.values() for name in scores}
    return table(
        ["figure", *map(language_name, languages), "meaning"],
        (
            [name, *(cell(results.languages[code].get(name), 3) for code in languages), meaning]
            for name, meaning in COLLAPSE.items()
            if name in named
        ),
    )


def data_table(record: CardRecord) -> str:
    """Corpora with their rows and licences."""
    return table(
        ["corpus", "language", "licence", "rows: train", "validation", "test", "left out"],
        (
            [
                f"`{_shown_title(source)}`",
                language_name(source["language"]),
                source.get("licence") or UNKNOWN,
                *(_rows(record, source, split) for split in ("train", "validation", "test")),
                left_out(own_splits(record, source)),
            ]
            for source in record.sources
        ),
    )


def settings_table(settings: dict[str, Any]) -> str:
    """Names and values."""
    return table(["setting", "value"], ([f"`{name}`", f"`{value}`"] for name, value in settings.items()))


def own_splits(record: CardRecord, source: dict[str, Any]) -> list[dict[str, Any]]:
    """Counts of a corpus' splits."""
    return [
        split
        for split in record.splits
        if split["source"] == _title(source) and split["language"] == source["language"]
    ]


def shown_splits(record: CardRecord) -> list[dict[str, Any]]:
    """Counts of all splits, each with its corpus as `data_table` names it."""
    shown = {_title(source): _shown_title(source) for source in record.sources}
    return [split | {"source": shown.get(split["source"], published_path(split["source"]))} for split in record.splits]


def _shown_title(source: dict[str, Any]) -> str:
    return _title(source | {"path": published_path(source["path"])})


def _title(source: dict[str, Any]) -> str:
    """As the data report names it."""
    return source["path"] if source.get("name") is None else f"{source['path']} ({source['name']})"


def _rows(record: CardRecord, source: dict[str, Any], name: str) -> str:
    kept = [split["kept"] for split in own_splits(record, source) if split["split"] == name]
    return f"{sum(kept):,}" if kept else "0" if record.splits else UNKNOWN
