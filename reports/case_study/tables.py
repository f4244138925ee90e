"""The numbers of the collapse experiment as tables and as one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics.significance import Interval
from reports.card_tables import table
from reports.case_study.collapse import (
    FORMS,
    NOT_MEASURED,
    Collapse,
    Evaluation,
    contrasts,
    effects,
    in_words,
    mean_over_seeds,
    pair,
)

_START = "sentinel_start"
_SCORES = {_START: "begin with a sentinel", "ended": "end by themselves", "empty": "are empty", "rouge1": "ROUGE-1"}
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
    """What explains at least a tenth of sentinels, endings and ROUGE-1, the greatest share first."""
    return {score: _causes(effects(collapse, score)) for score in _SCORES}


def merge_table(collapse: Collapse) -> str:
    """Every cell: sentinels, endings and ROUGE-1 by form of the merge, means over seeds."""
    rows = []
    for cell in collapse.cells:
        for form in FORMS:
            found = collapse.of(form, cell=cell)
            row = [*map(_code, cell), _FORM_NAMES[form]]
            rows.append([*row, *(_pair(found, score) for score in _SCORES)])
    untuned = collapse.of("untuned")
    rows.append(["untuned", "", "", "", *(_pair(untuned, score) for score in _SCORES)])
    return table(
        ["learning rate", "layers", "labels", "merge", *(f"{name}, tr / en" for name in _SCORES.values())], rows
    )


def suppression_verdict(collapse: Collapse) -> str:
    """What forbidding sentinels does to models of which most summaries begin with one, beside the reference's score."""
    rows = [(form, cell) for cell in collapse.cells for form in FORMS]
    collapsed = [row for row in rows if (mean_over_seeds(collapse.of(row[0], "allowed", row[1]), _START) or 0) > 0.5]
    if not collapsed:
        return "No model of which most summaries begin with a sentinel was measured."
    allowed, suppressed = (
        mean_over_seeds([one for form, cell in collapsed for one in collapse.of(form, kind, cell)], "rouge1")
        for kind in ("allowed", "suppressed")
    )
    cured = mean_over_seeds(collapse.of("adapters", cell=collapse.reference), "rouge1")
    if allowed is None or suppressed is None or cured is None:
        return f"ROUGE with and without suppression: {NOT_MEASURED}."
    answer = "It hides them" if suppressed - allowed < (cured - allowed) / 2 else "It gives most of the quality back"
    return (
        f"{answer}. In {len(collapsed)} of {len(rows)} rows of the first table below most summaries begin with a "
        f"sentinel. Forbidding them takes the mean ROUGE-1 of those rows from {allowed:.1f} to {suppressed:.1f}; a "
        f"cure would reach that of the run with the highest rate, all layers and `</s>`, unmerged: {cured:.1f}."
    )


def suppression_table(collapse: Collapse) -> str:
    """ROUGE-1 with sentinels allowed and suppressed, where some summaries begin with one."""
    rows = []
    for cell in collapse.cells:
        for form in FORMS:
            allowed, suppressed = collapse.of(form, cell=cell), collapse.of(form, "suppressed", cell)
            share = mean_over_seeds(allowed, _START)
            if share and suppressed:
                cells = [f"{share:.0%}", _pair(allowed, "rouge1"), _pair(suppressed, "rouge1")]
                rows.append([*map(_code, cell), _FORM_NAMES[form], *cells, _pair(suppressed, "ended")])
    if not rows:
        return f"ROUGE with and without suppression: {NOT_MEASURED}."
    head = ["learning rate", "layers", "labels", "merge", "begin with a sentinel", "ROUGE-1 allowed, tr / en"]
    return table([*head, "ROUGE-1 suppressed", "then end by themselves (%)"], rows)


def _pair(found: Sequence[Evaluation], score: str) -> str:
    return pair(found, score, 1) if score == "rouge1" else pair(found, score, 0, _RATIO)


def _change(effect: Interval, score: str) -> str:
    factor, unit = (1, "") if score == "rouge1" else (_RATIO, " points")
    low, mean, high = (factor * value for value in (effect.low, effect.mean, effect.high))
    return f"{mean:+.1f}{unit} [{low:+.1f}, {high:+.1f}]"


def _share(effect: Interval) -> str:
    return f"{effect.mean:.0%} [{effect.low:.0%}, {effect.high:.0%}]"


def _causes(shares: Mapping[str, Interval]) -> str:
    if not shares:
        return NOT_MEASURED
    order = sorted(shares, key=lambda name: -shares[name].mean)
    told = [f"{name} {_share(shares[name])}" for name in order if shares[name].mean >= 0.1]
    if not any(one.mean for one in shares.values()):
        return "nothing: the cells do not differ"
    return ", ".join(told) or "nothing by so much"


def _code(label: str) -> str:
    return in_words(label).replace("</s>", "`</s>`")
