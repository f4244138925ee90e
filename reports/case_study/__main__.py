"""Writes docs/case_study.md and its figures from the results of the case study's runs.

python -m reports.case_study [runs/case_study] [--output docs]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.case_study.page import write_case_study


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m reports.case_study", description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs/case_study"), help="folder of case_study.run")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of the page; default: docs")
    options = parser.parse_args(arguments)
    print(write_case_study(options.runs, options.output))


if __name__ == "__main__":
    answer(main)
