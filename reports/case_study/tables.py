"""The numbers of the collapse experiment as tables and as one verdict."""

from __future__ import annotations

from collections.abc import Mapping

from metrics.significance import Interval
from reports.card_tables import table
from reports.case_study.collapse import FORMS, NOT_MEASURED, Collapse, contrasts, effects, mean_over_seeds

_SCORES = {"sentinel_start": "begin with a sentinel", "ended": "end by themselves", "rouge1": "ROUGE-1"}
_FORM_NAMES = {"adapters": "not merged", "nf4": "NF4", "bf16": "bf16"}
_RATIO = 100  # shares are shown in per cent


def effects_table(collapse: Collapse) -> str:
    """What each change does, and what each factor explains; a line that says so while a cell is missing."""
    changes = {score: contrasts(collapse, score) for score in _SCORES}
    shares = {score: effects(collapse, score) for score in _SCORES}
    if not all(changes.values()):
        return f"Effects of the factors: {NOT_MEASURED} (the design is not complete)."
    head = ["", *_SCORES.values()]
    rows = [[name, *(_change(changes[score][name], score) for score in _SCORES)] for name in changes["ended"]]
    parts = [[name, *(_share(shares[score][name]) for score in _SCORES)] for name in shares["ended"]]
    heading = "**share of the differences between cells that is explained by**"
    return table(head, [*rows, [heading, "", "", ""], *parts])


def verdict(collapse: Collapse) -> dict[str, str]:
    """The factor, or the two together, that explains most of sentinels, endings and ROUGE-1, with its share."""
    return {score: _greatest(effects(collapse, score)) for score in _SCORES}


def merge_table(collapse: Collapse) -> str:
    """Every cell: sentinels, endings and ROUGE-1 by form of the merge, means over seeds."""
    rows = []
    for cell in collapse.cells:
        for form in FORMS:
            found = collapse.of(form, cell=cell)
            row = [*cell, _FORM_NAMES[form]]
            rows.append([*row, *(_pair(found, score) for score in _SCORES)])
    untuned = collapse.of("untuned")
    rows.append(["untuned", "", "", "", *(_pair(untuned, score) for score in _SCORES)])
    return table(
        ["learning rate", "layers", "labels", "merge", *(f"{name}, tr / en" for name in _SCORES.values())], rows
    )


def suppression_table(collapse: Collapse) -> str:
    """ROUGE-1 with sentinels allowed and suppressed, where some summaries begin with one."""
    rows = []
    for cell in collapse.cells:
        for form in FORMS:
            allowed, suppressed = collapse.of(form, cell=cell), collapse.of(form, "suppressed", cell)
            share = mean_over_seeds(allowed, "sentinel_start")
            if share and suppressed:
                cells = [f"{share:.0%}", _pair(allowed, "rouge1"), _pair(suppressed, "rouge1")]
                rows.append([*cell, _FORM_NAMES[form], *cells, _pair(suppressed, "ended")])
    if not rows:
        return f"ROUGE with and without suppression: {NOT_MEASURED}."
    head = ["learning rate", "layers", "labels", "merge", "begin with a sentinel", "ROUGE-1 allowed, tr / en"]
    return table([*head, "ROUGE-1 suppressed", "then end by themselves (%)"], rows)


def _pair(found: list, score: str) -> str:
    values = [mean_over_seeds(found, score, language) for language in ("tr", "en")]
    if not found or None in values:
        return NOT_MEASURED
    factor = 1 if score == "rouge1" else _RATIO
    return " / ".join(f"{factor * value:.{1 if score == 'rouge1' else 0}f}" for value in values if value is not None)


def _change(effect: Interval, score: str) -> str:
    factor, unit = (1, "") if score == "rouge1" else (_RATIO, " points")
    low, mean, high = (factor * value for value in (effect.low, effect.mean, effect.high))
    return f"{mean:+.1f}{unit} [{low:+.1f}, {high:+.1f}]"


def _share(effect: Interval) -> str:
    return f"{effect.mean:.0%} [{effect.low:.0%}, {effect.high:.0%}]"


def _greatest(shares: Mapping[str, Interval]) -> str:
    if not shares:
        return NOT_MEASURED
    name = max(shares, key=lambda effect: shares[effect].mean)
    return f"{name} ({_share(shares[name])} of the differences between cells)"
