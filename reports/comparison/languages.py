"""In which language the systems write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from metrics.language_identification import identify_language
from metrics.significance import Interval
from reports.card_tables import table
from reports.comparison.quality import percent
from reports.comparison.scores import LanguageScores
from reports.comparison.systems import System
from reports.comparison.transfer import draw_transfer
from reports.section import Section

_SAMPLE = 1000
_NAMED = 4


def language_section(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> Section | None:
    """Describe the languages of the outputs by two measures; None where no language can be identified."""
    known = [(one, s) for one in scores for s in systems if "wrong_language" in one.tables.get(s.name, {})]
    if not known:
        return None
    shares = {(system.name, one.language): _identified(system, one) for one, system in known}
    rows = [
        [
            one.language,
            system.name,
            ", ".join(system.trained_languages) or "–",
            percent(in_no_other_language(one, system.name)),
            ", ".join(f"{code} {share:.1%}" for code, share in [*shares[system.name, one.language].items()][:_NAMED]),
        ]
        for one, system in known
    ]
    note = (
        "*In no other language*: outputs that are not empty and not surely in another language than their article "
        "(py3langid; short ones of which it cannot be sure count), with the 95% interval over articles and seeds. "
        f"*Identified as*: the likeliest language of up to {_SAMPLE:,} outputs of the first seed; short ones have "
        "none, so that the share of the article's language is the lower of the two."
    )
    head = ["article", "system", "trained on", "in no other language [95%]", "identified as"]
    own = {(name, language): found.get(language, 0.0) for (name, language), found in shares.items()}
    figure = draw_transfer(systems, scores, own, folder)
    picture = f"\n\n![Scores and languages of the outputs by languages of training and of the articles]({figure})"
    return Section("Language of the outputs", f"{note}{picture if figure else ''}\n\n{table(head, rows)}")


def in_no_other_language(one: LanguageScores, system: str) -> Interval | None:
    """Return the share of outputs that hold words and are not surely in another language; None if nobody can tell."""
    figures = one.tables.get(system, {})
    if "wrong_language" not in figures:
        return None
    share, name = 1 - figures["wrong_language"] - figures.get("empty", 0.0), "in_no_other_language"
    return LanguageScores(one.language, one.ids, {system: {name: share}}, 0).interval(system, name)


def _identified(system: System, one: LanguageScores) -> dict[str, float]:
    """Shares of the outputs by their likeliest language, the greatest first."""
    predictions = system.first.predictions
    texts = [predictions[one.language, name]["prediction"] for name in one.ids[:_SAMPLE]]
    counts = Counter(identify_language(text, [one.language]) or "too short" for text in texts)
    return {code: count / len(texts) for code, count in counts.most_common()}
