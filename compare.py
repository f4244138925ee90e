"""Compares trainings: `compare.py run STUDY.yaml` makes the runs of a study, `compare.py report DIR...` a report.

python compare.py run configs/studies/small/adaptation.yaml --set pairs=DATA --dry-run
python compare.py run configs/studies/small/adaptation.yaml --set pairs=DATA --output runs/studies/adaptation
python compare.py report runs/studies/adaptation --output runs/reports/adaptation
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.comparison.report import write_report
from reports.comparison.summaries import summary_sections
from studies.execution import Execution, locked
from studies.matrix import cells, run_count
from studies.processes import Processes, available_devices
from studies.study import Study, read_study


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = ArgumentParser(prog="python compare.py", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="make the runs of a study that are missing, and go on with interrupted ones")
    run.add_argument("study", type=Path, help="YAML file, such as those in configs/studies/")
    run.add_argument("--output", type=Path, help="folder of the study; default: runs/studies/NAME")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of the study")
    run.add_argument("--devices", nargs="+", help="CUDA devices; one named twice runs two at a time; default: all")
    run.add_argument("--dry-run", action="store_true", help="check and print the runs, start none")
    run.set_defaults(command=_run)
    report = commands.add_parser(
        "report", help="compare finished runs: an HTML page, the same as Markdown, slides, examples"
    )
    report.add_argument("folders", type=Path, nargs="+", help="folders of studies, of runs, or above them")
    report.add_argument(
        "--output", type=Path, default=Path("runs/reports"), help="folder to write; default: runs/reports"
    )
    report.add_argument("--reference", help="what the others are tested against, by its name in the report")
    report.add_argument("--attention", type=Path, help="folder of record_attention.py, to show what models looked at")
    report.add_argument(
        "--architectures", type=Path, metavar="JSON", help="of benchmarks/adaptation_cost.py, shown beside the costs"
    )
    report.set_defaults(command=_report)
    options = parser.parse_args(arguments)
    return options.command(options)


def _run(options: argparse.Namespace) -> int:
    study = read_study(options.study, dict(variable(text) for text in options.set))
    output = options.output or Path("runs/studies") / study.name
    check(study)
    _print_matrix(study, output)
    if options.dry_run:
        return 0
    with locked(output) as lock:
        processes = Processes(options.devices or available_devices(), inherited=[lock])
        with processes.stopped_by_signals():
            runs = Execution(study, output, processes).carry_out()
    failed = sum(run.status == "failed" for run in runs)
    done = sum(run.status == ("finished" if study.tested else "fitted") for run in runs)
    print(f"{done} runs {'tested' if study.tested else 'trained'}, {failed} failed.")
    if study.tested:
        print(f"Next: python compare.py report {output} --output runs/reports/{study.name}")
    if processes.stopping is not None:
        print("Stopped. The same command goes on.")
        return 128 + processes.stopping
    return int(failed > 0)


def check(study: Study) -> None:
    """Reads the command lines as `train.py` will, before anything runs.

    Raises:
        ValueError: If `train.py` refuses one; names the cell.
    """
    import train  # ten seconds, which a report need not wait for

    runs = [cell.run(cell.learning_rates[0], study.seeds[0]) for cell in cells(study)]
    # Flags of the test are the same for all cells.
    for subcommand, run, flags in [
        *(("fit", run, run.fit_flags) for run in runs),
        ("test", runs[0], runs[0].test_flags),
    ]:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                train.main([subcommand, *flags], train.ReadingCLI)
        except SystemExit as error:
            reason = said.getvalue().split("error:")[-1].strip()
            raise ValueError(f"{run.cell}: train.py {subcommand} refuses its flags: {reason}") from error


def _print_matrix(study: Study, output: Path) -> None:
    for cell in cells(study):
        rates = ", ".join(f"{rate:g}" for rate in cell.learning_rates if rate is not None)
        print(f"{cell.run(None, 0).cell:<24}{f'learning rates {rates}' if rates else ''}")
    seeds = ", ".join(map(str, study.seeds))
    print(f"{len(cells(study))} cells, seeds {seeds}: {run_count(study)} trainings, in {output}")


def _report(options: argparse.Namespace) -> int:
    further = summary_sections(options.attention)
    for path in write_report(options.folders, options.output, options.reference, further, options.architectures):
        print(path)
    return 0


def variable(text: str) -> tuple[str, str]:
    """The name and value of `--set NAME=VALUE`.

    Raises:
        ValueError: If it is not of this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set {text!r} must be NAME=VALUE.")
    return name, value


if __name__ == "__main__":
    answer(main)
