"""The scores of a test beside those of the articles' beginnings."""

from __future__ import annotations

from rich.table import Table

from metrics.score_intervals import Scores
from metrics.significance import Interval
from reports.results import Results


def results_table(results: Results) -> Table:
    """One row a score that the beginnings have too: the model's with its interval, and each beginning's.

    `lead` is as many first words as the mean reference has, `lead1` to `lead3` are as many first sentences.
    """
    baselines = sorted({name.split("_")[0] for name in results.overall if name.startswith("lead")})
    table = Table("language", "score", "model", *baselines)
    for column in table.columns[2:]:
        column.justify = "right"
    for language, scores in [*results.languages.items(), ("mean", results.overall)]:
        for name in _compared(scores):
            beginnings = [scores.get(f"{baseline}_{name}") for baseline in baselines]
            count = results.counts.get(language)
            table.add_row(
                f"{language} ({count})" if count else language,
                name,
                _with_interval(scores[name]),
                *("" if score is None else f"{score.mean:.2f}" for score in beginnings),
            )
        table.add_section()
    return table


def figures_table(results: Results) -> Table:
    """One row a figure that has no baseline, such as the loss or the share that ended; means over the summaries."""
    groups = {**results.languages, "mean": results.overall}
    table = Table("figure", *groups)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = dict.fromkeys(name for scores in groups.values() for name in scores if not name.startswith("lead"))
    for name in shown:
        if not all(name in _compared(scores) for scores in groups.values()):
            table.add_row(name, *(f"{scores[name].mean:.3g}" if name in scores else "" for scores in groups.values()))
    return table


def _compared(scores: Scores) -> list[str]:
    """Names of the scores that have a baseline."""
    with_baseline = {name.split("_", 1)[1] for name in scores if name.startswith("lead")}
    return [name for name in scores if name in with_baseline]


def _with_interval(score: Interval) -> str:
    return f"{score.mean:z.2f} [{score.low:z.2f}, {score.high:z.2f}]"
