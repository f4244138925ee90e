"""Is system A better than system B? Two prediction files of the same summaries, tested score by score.

python -m reports.significance A/test/predictions.jsonl B/test/predictions.jsonl [--metrics rouge1 rougeL] [--seed 0]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from commands.arguments import ArgumentParser
from commands.failures import answer
from metrics.significance import PairedBootstrap, approximate_randomization, holm, paired_bootstrap
from reports.results import read_predictions
from reports.score_names import SCORE_NAMES

_NOTE = (
    "p: two-sided; bootstrap after Koehn (2004), too small below about 30 summaries; randomisation after Riezler & "
    "Maxwell (2005). Holm: the randomisation p adjusted for all {count} tests of this table (Holm 1979): below 0.05, "
    "the chance that any such row is mere luck is below 5%. The tests tell whether other articles would give the same "
    "order, not whether another seed would."
)

# Of a file or a pipe, in which a table that is cut loses numbers.
_WIDTH = 110

Rows = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """One score of one language in two systems.

    Attributes:
        language: Language code.
        metric: Name of the score.
        count: Summaries compared.
        means: Of A and of B.
        bootstrap: Difference A - B with its interval and p-value.
        randomization_p: Of approximate randomisation.
    """

    language: str
    metric: str
    count: int
    means: tuple[float, float]
    bootstrap: PairedBootstrap
    randomization_p: float


def compare(a: Rows, b: Rows, metrics: Sequence[str] | None = None, seed: int = 0) -> list[Comparison]:
    """Tests two systems language by language.

    Args:
        a: From `by_name`.
        b: Of the same summaries.
        metrics: Names of scores; None takes those of SCORE_NAMES that all summaries of a language have.
        seed: Fixes the resamples.

    Raises:
        ValueError: If the summaries are not the same, their references differ, or a summary lacks a score.
    """
    if a.keys() != b.keys():
        raise ValueError("Only predictions for the same articles can be compared; see `common`.")
    other = [name for name in a if a[name]["reference"] != b[name]["reference"]]
    if other:
        raise ValueError(
            f"{len(other)} of {len(a)} references differ between the files, such as that of {'/'.join(other[0])}: they "
            "are not of the same data."
        )
    comparisons = []
    for language in sorted({language for language, _ in a}):
        names = [name for name in a if name[0] == language]
        for metric in metrics or [one for one in SCORE_NAMES if not _lacking(a, b, names, one)]:
            lacking = _lacking(a, b, names, metric)
            if lacking:
                known = ", ".join(sorted(a[names[0]]["scores"].keys() & b[names[0]]["scores"].keys()))
                raise ValueError(f"{lacking} summaries in {language} have no score {metric!r}. The first has: {known}.")
            first = [a[name]["scores"][metric] for name in names]
            second = [b[name]["scores"][metric] for name in names]
            bootstrap = paired_bootstrap(first, second, seed=seed)
            means = (sum(first) / len(first), sum(second) / len(second))
            randomization_p = approximate_randomization(first, second, seed=seed)
            comparisons.append(Comparison(language, metric, len(names), means, bootstrap, randomization_p))
    return comparisons


def by_name(rows: Sequence[dict[str, Any]], path: str) -> Rows:
    """Rows by language and id.

    Raises:
        ValueError: If two rows have the same.
    """
    named = {(row["language"], row["id"]): row for row in rows}
    if len(named) < len(rows):
        twice, _ = Counter((row["language"], row["id"]) for row in rows).most_common(1)[0]
        raise ValueError(
            f"{path} has {len(rows) - len(named)} rows whose language and id another row has too, such as "
            f"{'/'.join(twice)}. Give the sources a column of ids (data.sources.columns.id) and test again."
        )
    return named


def common(a: Rows, b: Rows) -> tuple[Rows, Rows]:
    """The rows that both have.

    Raises:
        ValueError: If there are none.
    """
    if not a.keys() & b.keys():
        raise ValueError("The files have no id in common.")
    return {name: row for name, row in a.items() if name in b}, {name: row for name, row in b.items() if name in a}


def comparison_table(comparisons: Sequence[Comparison]) -> Table:
    """One row a comparison, with p-values adjusted for their number."""
    table = Table("lang", "score", "n", "A", "B", "A - B [95%]", "p boot", "p rand", "Holm")
    for number, column in enumerate(table.columns):
        column.no_wrap = True
        column.justify = "left" if number < 2 else "right"
    adjusted = holm([one.randomization_p for one in comparisons])
    for number, (one, p) in enumerate(zip(comparisons, adjusted, strict=True)):
        if number and one.language != comparisons[number - 1].language:
            table.add_section()
        difference = one.bootstrap.difference
        table.add_row(
            one.language,
            one.metric,
            str(one.count),
            *(f"{mean:.2f}" for mean in one.means),
            f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]",
            *(f"{value:.4f}" for value in (one.bootstrap.p, one.randomization_p, p)),
        )
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.significance", description=__doc__.splitlines()[0])
    parser.add_argument("a", help="predictions.jsonl of system A")
    parser.add_argument("b", help="predictions.jsonl of system B")
    parser.add_argument(
        "--metrics", nargs="+", help=f"scores to test; default: those of {', '.join(SCORE_NAMES)} there are"
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes the resamples")
    parser.add_argument("--common", action="store_true", help="compare what both files have, instead of refusing")
    options = parser.parse_args(arguments)
    a, b = (by_name(read_predictions(path), path) for path in (options.a, options.b))
    only = (len(a.keys() - b.keys()), len(b.keys() - a.keys()))
    if any(only) and not options.common:
        raise ValueError(f"{only[0]} ids are in {options.a} only and {only[1]} in {options.b} only; see --common.")
    a, b = common(a, b)
    comparisons = compare(a, b, options.metrics, options.seed)
    if not comparisons:
        names = ", ".join(SCORE_NAMES)
        raise ValueError(f"No summary has a score of {names}; files of `predict` have none, use `test`.")
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(f"A: {options.a}\nB: {options.b}", soft_wrap=True)
    if any(only):
        console.print(f"Left out: {only[0]} summaries that only A has, {only[1]} that only B has.")
    console.print(comparison_table(comparisons))
    console.print(_NOTE.format(count=len(comparisons)))


def _lacking(a: Rows, b: Rows, names: Sequence[tuple[str, str]], metric: str) -> int:
    """How many of the named summaries have no such score in A or in B."""
    return sum(rows[name]["scores"].get(metric) is None for name in names for rows in (a, b))


if __name__ == "__main__":
    answer(main)
