"""Who speaks, and what is said: tr-tbmm's summaries cut into the opening that names a member, and the rest.

    python benchmarks/member_names.py full=RUN_A lora=RUN_B --compare full:lora --output out.json

Nearly all of its references begin with "PROVINCE Milletvekili NAME'in". Of those rows: how many summaries have the
province and the name of the reference, which wrong names are the commonest, and ROUGE-L of the whole texts and of what
follows the opening, with paired differences and their 95% intervals over articles.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import write  # noqa: E402

from metrics.rouge import rouge  # noqa: E402
from metrics.significance import paired_bootstrap  # noqa: E402
from reports.prediction_files import by_language, read_named  # noqa: E402

OPENING = re.compile(r"(?P<province>.+?) Milletvekili (?P<name>[^’']+)[’']\S*\s*")


def figures(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """The figures of one run, and ROUGE-L of each row, whole and of the rest.

    Args:
        rows: Its predictions; those whose reference has no such opening are passed over.
    """
    matched = [(OPENING.match(row["prediction"]), OPENING.match(row["reference"]), row) for row in rows]
    found = [(said, wanted, row) for said, wanted, row in matched if wanted]
    names = [(said["name"].strip() if said else "", wanted["name"].strip()) for said, wanted, _ in found]
    wrong = Counter(said for said, wanted in names if said and said != wanted)
    scores = {
        "whole": rouge_l([row["prediction"] for *_, row in found], [row["reference"] for *_, row in found]),
        "rest": rouge_l(
            [row["prediction"][said.end() if said else 0 :] for said, _, row in found],
            [row["reference"][wanted.end() :] for _, wanted, row in found],
        ),
    }
    return {
        "count": len(found),
        "right_name": sum(said == wanted for said, wanted in names),
        "right_province": sum(bool(said) and said["province"] == wanted["province"] for said, wanted, _ in found),
        "commonest_wrong_names": wrong.most_common(3),
        **{f"{part}_rougeL": mean(values) for part, values in scores.items()},
    }, scores


def rouge_l(predictions: list[str], references: list[str]) -> list[float]:
    """ROUGE-L of each pair, in [0, 100]."""
    return rouge(predictions, references, "tr")["rougeL"]


def compare(a: dict[str, list[float]], b: dict[str, list[float]]) -> dict[str, Any]:
    """Mean differences of two runs, with intervals, whole and of the rest."""
    tests = {part: paired_bootstrap(a[part], b[part]) for part in a}
    return {part: [test.difference.mean, test.difference.low, test.difference.high] for part, test in tests.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line for each run and each comparison, and writes all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="[NAME=]RUN", help="a run's folder, or a predictions.jsonl")
    parser.add_argument("--compare", nargs="+", default=[], metavar="A:B", help="names of two runs")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    runs = {name: figures(by_language(rows).get("tr", [])) for name, rows in read_named(options.runs).items()}
    pairs = {pair: [runs[name][1] for name in pair.split(":")] for pair in options.compare}
    result = {
        "runs": {name: counts for name, (counts, _) in runs.items()},
        "differences": {pair: compare(*scores) for pair, scores in pairs.items()},
    }
    for part in result.values():
        for name, values in part.items():
            print(name, values)
    write(options.output, result)


if __name__ == "__main__":
    main()
