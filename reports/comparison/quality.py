"""Sections about quality: scores by language, tests against the reference, and what share of it the others reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import pyplot as plt

from metrics.collapse import MAX_UNIFORM
from metrics.invented_words import MAX_INVENTED_WORDS
from metrics.significance import Interval
from reports.card_tables import cell, table
from reports.comparison.scores import LanguageScores, Test, resamples_for
from reports.comparison.systems import System
from reports.figure_style import error_bars, legend_below, save_figure, style
from reports.score_names import SCORE_NAMES, digits
from reports.section import Section

# Shown beside the scores, and not tested for significance.
_SHOWN = SCORE_NAMES | {"invented_words": "invented words"}
_BEGINNINGS = {
    "lead": "first words",
    "lead1": "first sentence",
    "lead2": "first 2 sentences",
    "lead3": "first 3 sentences",
}


def quality_section(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> Section:
    """Scores of every system by language with intervals, beside those of the articles' beginnings."""
    parts = [
        "Test scores: ROUGE is an F-measure in percent on Unicode words, BERTScore an F1 of 1. In brackets the 95% "
        "interval over articles and seeds; ± is the standard deviation between seeds (one seed has none). "
        "docs/METHODOLOGY.md says how both are made.",
        f"![Test scores by language]({_draw(systems, scores, folder)})",
    ]
    for one in scores:
        lacking = f" {one.lacking} articles that not every run was tested on are left out." * bool(one.lacking)
        parts += [f"### {one.language}: {len(one.ids):,} articles", lacking.strip(), _scores_table(systems, one)]
    return Section("Quality", "\n\n".join(part for part in parts if part))


def significance_section(tests: Sequence[Test], reference: str) -> Section:
    """Differences from the reference, their intervals and p-values."""
    rows = [
        [
            one.language,
            one.system,
            SCORE_NAMES[one.score],
            cell(one.outcome.difference, digits(one.score), signed=True),
            percent(one.outcome.ratio),
            f"{one.outcome.p:.4f}",
            f"{one.randomization_p:.4f}",
            f"{one.adjusted_p:.4f}",
        ]
        for one in tests
    ]
    resamples = resamples_for(len(tests))
    note = (
        f"Differences are system minus `{reference}`, on the same articles. *p*: two-sided, over articles and seeds. "
        "*p (articles)*: approximate randomisation of the seeds' means. *Holm*: the greater of both, adjusted for all "
        f"{len(tests)} tests of this table; below 0.05 the chance that any such row is mere luck is below 5%. With "
        f"{resamples:,} resamples no *p* is below {2 / (resamples + 1):.4f}, however large the difference."
    )
    head = ["lang", "system", "score", "difference [95%]", "share of reference [95%]", "p", "p (articles)", "Holm"]
    body = f"{note}\n\n{table(head, rows)}" if rows else "There is no second system to compare with."
    return Section("Significance", body)


def headline_section(
    tests: Sequence[Test],
    systems: Sequence[System],
    scores: Sequence[LanguageScores],
    question: str,
    warnings: Sequence[str] = (),
) -> Section:
    """One sentence for each system and language, what their scores hide, and further warnings."""
    reference = next(system.name for system in systems if system.is_reference)
    lines = [
        f"- {one.language}: **{one.system}** reaches {percent(one.outcome.ratio)} of `{reference}` in ROUGE-L"
        f" (difference {cell(one.outcome.difference, signed=True)}, {_verdict(one)})."
        for one in tests
        if one.score == "rougeL"
    ]
    hidden = (*lead_warnings(systems, scores), *uniform_warnings(systems, scores), *nonsense_warnings(systems, scores))
    warnings = [*hidden, *warnings]
    lines += [f"- {warning}" for warning in warnings]
    seeds = sorted({len(system.runs) for system in systems})
    counts = f"{' or '.join(map(str, seeds))} {'seed' if seeds == [1] else 'seeds'}"
    opening = f"{len(systems)} systems with {counts} each; the reference is `{reference}`."
    return Section("In short", "\n\n".join(part for part in (question, opening, "\n".join(lines)) if part))


def lead_warnings(systems: Sequence[System], scores: Sequence[LanguageScores]) -> list[str]:
    """Says in which languages the best of the articles' beginnings scores at least as high as some systems."""
    found = []
    for one in scores:
        means = {system.name: one.mean(system.name, "rougeL") for system in systems if system.name in one.tables}
        cuts = {title: one.mean(next(iter(means)), f"{prefix}_rougeL") for prefix, title in _BEGINNINGS.items()}
        known = {title: cut for title, cut in cuts.items() if cut is not None}
        best = max(known, key=lambda title: known[title], default="")
        below = [name for name, score in means.items() if known and score is not None and score <= known[best]]
        if below:
            names = "every system" if len(below) == len(means) else ", ".join(below)
            found.append(
                f"{one.language}: cutting articles to their {best} ({known[best]:.2f} in ROUGE-L) is as good as or "
                f"better than {names}: a cut would do."
            )
    return found


def uniform_warnings(systems: Sequence[System], scores: Sequence[LanguageScores]) -> list[str]:
    """Says which systems give several articles the same summary: a score does not show it."""
    found = []
    for one in scores:
        for system in systems:
            share = one.mean(system.name, "uniform")
            if share is not None and share > MAX_UNIFORM:
                found.append(
                    f"{one.language}: {share:.0%} of the summaries of {system.name} are, word for word, those of "
                    "another article, too: it hardly reads what it summarises, whatever its score."
                )
    return found


def nonsense_warnings(systems: Sequence[System], scores: Sequence[LanguageScores]) -> list[str]:
    """Says which systems invent words: a score does not show it."""
    shares = (
        (one.language, system.name, one.mean(system.name, "invented_words")) for one in scores for system in systems
    )
    return [
        f"{language}: {share:.0%} of the words of {name} stand neither in their article nor among the known words: it "
        "writes nonsense, whatever its score."
        for language, name, share in shares
        if share is not None and share > MAX_INVENTED_WORDS
    ]


def quality_rows(systems: Sequence[System], scores: Sequence[LanguageScores]) -> list[list[str]]:
    """One table of all languages: a head, and a row for each system; then the articles' first words."""
    named = [score for score in SCORE_NAMES if any(score in own for one in scores for own in one.tables.values())]
    rows = [["language", "system", "seeds", *(SCORE_NAMES[score] for score in named)]]
    for one in scores:
        present = [system for system in systems if system.name in one.tables]
        for system in present:
            found = (cell(one.interval(system.name, score), digits(score)) for score in named)
            rows.append([one.language, system.name, str(len(system.runs)), *found])
        lead = {score: one.interval(present[0].name, f"lead_{score}") for score in named}
        if any(lead.values()):
            shown = (cell(interval, digits(score)) for score, interval in lead.items())
            rows.append([one.language, "(first words of the article)", "", *shown])
    return rows


def percent(ratio: Interval | None) -> str:
    """A ratio in percent with its interval."""
    if ratio is None:
        return "–"
    return f"{100 * ratio.mean:.1f}% [{100 * ratio.low:.1f}, {100 * ratio.high:.1f}]"


def _verdict(test: Test) -> str:
    return f"{'significant' if test.adjusted_p < 0.05 else 'not significant'}, Holm p = {test.adjusted_p:.4f}"


def _scores_table(systems: Sequence[System], one: LanguageScores) -> str:
    present = [system for system in systems if system.name in one.tables]
    named = [score for score in _SHOWN if any(score in one.tables[system.name] for system in present)]
    rows = [
        [
            f"**{system.name}**" if system.is_reference else system.name,
            ", ".join(system.trained_languages) or "–",
            len(system.runs),
            *(_with_deviation(one, system.name, score) for score in named),
        ]
        for system in present
    ]
    for prefix, title in _BEGINNINGS.items():
        found = [one.interval(present[0].name, f"{prefix}_{score}") for score in named]
        if any(found):
            shown = (cell(score, digits(name)) for name, score in zip(named, found, strict=True))
            rows.append([f"*{title} of the article*", "", "", *shown])
    return table(["system", "trained on", "seeds", *(_SHOWN[score] for score in named)], rows)


def _with_deviation(one: LanguageScores, system: str, score: str) -> str:
    found = one.interval(system, score)
    if found is None:
        return "–"
    deviation = one.seed_deviation(system, score)
    return cell(found, digits(score)) + ("" if deviation is None else f" ±{deviation:.{digits(score)}f}")


def _draw(systems: Sequence[System], scores: Sequence[LanguageScores], folder: Path) -> str:
    """ROUGE-L of each system with its interval, a panel for each language; a dashed line for the first words."""
    size = (1.8 + 3.6 * len(scores), 1.7 + 0.32 * len(systems))
    figure, axes = plt.subplots(1, len(scores), figsize=size, layout="constrained", squeeze=False, sharey=True)
    for axis, one in zip(axes.flat, scores, strict=True):
        for place, system in enumerate(systems):
            found = one.interval(system.name, "rougeL")
            if found is not None:
                look = {**style(place), "linestyle": "none"}
                axis.errorbar(found.mean, place, xerr=error_bars([found]), capsize=3, **look)
        lead = one.interval(next(iter(one.tables)), "lead_rougeL")
        if lead is not None:
            axis.axvline(lead.mean, color="black", linestyle=":", label="first words of the article")
        axis.set(title=f"{one.language}: ROUGE-L, 95% interval", yticks=range(len(systems)))
        axis.set_yticklabels([system.name for system in systems])
        axis.grid(axis="x", alpha=0.3)
    axes.flat[0].set_ylim(len(systems) - 0.5, -0.5)  # shared; the first stands above
    legend_below(figure, axes.flat[0])
    return save_figure(figure, folder, "quality")
