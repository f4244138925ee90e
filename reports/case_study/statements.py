"""Sentences of the case study that hold numbers of the collapse experiment."""

from __future__ import annotations

from collections.abc import Sequence

from reports.card_tables import table
from reports.case_study.collapse import (
    NOT_MEASURED,
    Collapse,
    Evaluation,
    ended_with_words,
    in_words,
    mean_over_seeds,
    pair,
)


def endings(collapse: Collapse) -> str:
    """How many summaries end and have words, where labels have an end and nothing is merged."""
    cells = [cell for cell in collapse.cells if cell[2] == "with-end" and collapse.of("adapters", cell=cell)]
    best = collapse.of("adapters", cell=collapse.reference)
    if not best:
        return f"Endings with and without it: {NOT_MEASURED}."
    emptiest = max(cells, key=lambda cell: _mean(collapse.of("adapters", cell=cell), "empty"))
    worst = collapse.of("adapters", cell=emptiest)
    return (
        f"An empty summary ends, too: unmerged, {_mean(worst, 'empty'):.0%} of those of the cell {_named(emptiest)} "
        f"are empty, and {ended_with_words(worst):.0%} end and have words; of the cell {_named(collapse.reference)} "
        f"{_mean(best, 'empty'):.0%} and {ended_with_words(best):.0%}."
    )


def price_of_no_end(collapse: Collapse) -> str:
    """What labels without an end do to ROUGE-1 and lengths where all else is the reference's."""
    settings = collapse.reference[:2]
    found = [collapse.of("adapters", cell=(*settings, labels)) for labels in ("with-end", "without-end")]
    if not all(found):
        return f"ROUGE-1 of labels with and without an end: {NOT_MEASURED}."
    scores = [pair(one, "rouge1", 1) for one in found]
    lengths = [pair(one, "length_ratio", 2) for one in found]
    return (
        f"At {' on '.join(map(in_words, settings))}, unmerged, labels with `</s>` have ROUGE-1 {scores[0]} (tr / en) "
        f"and {lengths[0]} times the words of the references, labels without it {scores[1]} and {lengths[1]}. At lower "
        "rates a model with `</s>` writes empty summaries, which score 0, where one without it fills its 64 tokens: so "
        "ROUGE alone would call missing ends a gain."
    )


def merge_by_rate(collapse: Collapse) -> str:
    """What an NF4 merge does at each learning rate, over all layers, labels and seeds."""
    rows = []
    for rate in dict.fromkeys(cell[0] for cell in collapse.cells):
        own, merged = ([one for one in collapse.of(form) if one.cell[0] == rate] for form in ("adapters", "nf4"))
        if own and merged:
            starts = (f"{_mean(one, 'sentinel_start'):.0%}" for one in (own, merged))
            scores = (pair(one, "rouge1", 1) for one in (own, merged))
            rows.append([in_words(rate), changed_weights(merged), *starts, *scores])
    if not rows:
        return f"NF4 merges by learning rate: {NOT_MEASURED}."
    head = ["learning rate", "4-bit weights that change", "begin with a sentinel, unmerged", "merged into NF4"]
    return table([*head, "ROUGE-1 unmerged, tr / en", "merged into NF4"], rows)


def changed_weights(merged: Sequence[Evaluation]) -> str:
    """Mean over the 4-bit layers of the share of weights that a merge into NF4 changed at all."""
    layers = [layer for one in merged for layer in one.merged_layers]
    if not layers:
        return NOT_MEASURED
    share = sum(one["changed"] for one in layers) / len(layers)
    return f"{share:.1%}" if share >= 0.001 else "fewer than 0.1%"


def _mean(evaluations: Sequence[Evaluation], score: str) -> float:
    return mean_over_seeds(evaluations, score) or 0.0


def _named(cell: Sequence[str]) -> str:
    return f"({', '.join(map(in_words, cell[:2]))})"
