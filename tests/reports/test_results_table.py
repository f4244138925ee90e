"""What `test` prints: scores beside their baselines, then every other figure, each once and to three digits."""

from rich.console import Console

from metrics.significance import Interval
from reports.results import Results
from reports.results_table import figures_table, results_table


def scores(mean: float) -> dict[str, Interval]:
    values = {"loss": 2.34567, "rougeL": mean, "lead_rougeL": 1.5, "lead1_rougeL": 2.5, "ended": 0.98765}
    return {name: Interval(value, value, value) for name, value in values.items()}


def text(table) -> list[list[str]]:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines() if "│" in line]


RESULTS = Results({"tr": 4, "en": 6}, {"tr": scores(30), "en": scores(50)}, scores(40), {}, {}, {}, {}, {}, {})


def test_no_zero_is_negative():
    below = {"rougeL": Interval(-1e-9, -1e-9, 0.0), "lead_rougeL": Interval(0.0, 0.0, 0.0)}
    results = Results({"tr": 4}, {"tr": below}, below, {}, {}, {}, {}, {}, {})
    assert text(results_table(results))[0][2] == "0.00 [0.00, 0.00]"


def test_scores_stand_beside_their_baselines_and_other_figures_by_language():
    assert [row[:3] for row in text(results_table(RESULTS))] == [
        ["tr (4)", "rougeL", "30.00 [30.00, 30.00]"],
        ["en (6)", "rougeL", "50.00 [50.00, 50.00]"],
        ["mean", "rougeL", "40.00 [40.00, 40.00]"],
    ]
    assert text(figures_table(RESULTS)) == [["loss"] + ["2.35"] * 3, ["ended"] + ["0.988"] * 3]
