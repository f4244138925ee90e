"""In which language the systems write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from metrics.language_identification import identify_language
from metrics.significance import Interval
from reports.card_tables import table
from reports.comparison.quality import percent
from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.section import Section

_SAMPLE = 1000
_NAMED = 4


def language_section(systems: Sequence[System], scores: Sequence[LanguageScores]) -> Section | None:
    """The share of outputs in the article's language; None where no language can be identified."""
    rows = [
        [one.language, system.name, ", ".join(system.trained_languages) or "–", *_cells(system, one)]
        for one in scores
        for system in systems
        if "wrong_language" in one.tables.get(system.name, {})
    ]
    if not rows:
        return None
    note = (
        "*Right*: outputs that are not empty and not surely in another language than their article (py3langid; short "
        "ones of which it cannot be sure count as right), with the 95% interval over articles and seeds. *Identified "
        f"as*: the likeliest language of up to {_SAMPLE:,} outputs of the first seed."
    )
    head = ["article", "system", "trained on", "right [95%]", "identified as"]
    return Section("Language of the outputs", f"{note}\n\n{table(head, rows)}")


def right_language(one: LanguageScores, system: str) -> Interval | None:
    """Share of a system's outputs that hold words and are not surely in another language; None if nobody can tell."""
    figures = one.tables.get(system, {})
    if "wrong_language" not in figures:
        return None
    right = 1 - figures["wrong_language"] - figures.get("empty", 0.0)
    return LanguageScores(one.language, one.ids, {system: {"right": right}}, 0).interval(system, "right")


def _cells(system: System, one: LanguageScores) -> list[str]:
    predictions = system.first.predictions
    texts = [predictions[one.language, name]["prediction"] for name in one.ids[:_SAMPLE]]
    counts = Counter(identify_language(text, [one.language]) or "too short" for text in texts)
    named = ", ".join(f"{code} {count / len(texts):.1%}" for code, count in counts.most_common(_NAMED))
    return [percent(right_language(one, system.name)), named]
