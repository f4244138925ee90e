"""Runs the whole case study: both studies, every merge, the guards' messages, and the page that they make.

    python -m case_study.run --set pairs=DATA --set base=FOLDER [--devices 0 0 1 1] [--only failures]

The same command goes on where it was interrupted. `python -m reports.case_study` writes the page alone.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch

from case_study.encoder import write_encoder
from case_study.evaluate import FORMS, SENTINELS, evaluations
from case_study.guards import write_messages
from commands.arguments import ArgumentParser
from commands.failures import answer
from compare import check, variable
from reports.case_study.page import write_case_study
from reports.study_record import StudyRun, trained_folder
from studies.execution import Execution, locked
from studies.matrix import cells
from studies.processes import Processes, available_devices
from studies.study import Study, read_study

FOLDER = Path(__file__).resolve().parent.parent / "configs/studies/case_study"
STUDIES = ("failures", "collapse", "mt5_small")  # longest jobs first
ENCODER = Path("runs/case_study/encoder")  # where configs/case_study/bertscore_on_gpu.yaml looks for it
# By cell of the study of failures whose fault ends the run, what it ends with.
MEANT_TO_FAIL = {
    "fp16-overflow": "is not finite",
    "minus-100-in-decoding": "OverflowError",
    "bertscore-on-gpu": "Out of memory",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = ArgumentParser(prog="python -m case_study.run", description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of both studies")
    parser.add_argument("--devices", nargs="+", help="CUDA devices; one named twice runs two at a time; default: all")
    parser.add_argument("--output", type=Path, default=Path("runs/case_study"))
    parser.add_argument("--page", type=Path, default=Path("docs"), help="folder of the page; default: docs")
    parser.add_argument("--only", choices=STUDIES, nargs="+", default=STUDIES[:2], help="some studies; default: two")
    options = parser.parse_args(arguments)
    with locked(options.output) as lock:
        processes = Processes(options.devices or available_devices(), inherited=[lock])
        with processes.stopped_by_signals():
            problems = carry_out(options.only, dict(map(variable, options.set)), options.output, processes)
    if processes.stopping is not None:
        print("Stopped. The same command goes on.")
        return 128 + processes.stopping
    print(write_case_study(options.output, options.page))
    for problem in problems:
        print(f"not as expected: {problem}")
    return int(bool(problems))


def carry_out(names: Sequence[str], variables: Mapping[str, str], output: Path, processes: Processes) -> list[str]:
    """Makes what is missing; returns what went otherwise than expected."""
    studies = [read_study(FOLDER / f"{name}.yaml", variables) for name in names]
    for study in studies:
        check(reference_alone(study))
    write_messages(output / "guards.json")
    if torch.cuda.is_available():
        write_encoder(ENCODER)
    with ThreadPoolExecutor(len(studies)) as pool:
        found = pool.map(lambda study: _carry_out(study, output / study.name, processes), studies)
    return [problem for problems in found for problem in problems]


def reference_alone(study: Study) -> Study:
    """The study's reference as its only cell: enough to check the variables, which all cells have in common."""
    return replace(study, axes={axis: {label: study.axes[axis][label]} for axis, label in study.reference.items()})


def failed_as_meant(run: StudyRun) -> bool:
    """Whether a run that failed did so by its fault."""
    expected = MEANT_TO_FAIL.get(run.labels.get("failure", ""))
    return expected is not None and any(expected in line for line in run.error)


def unexpected(runs: Sequence[StudyRun]) -> list[str]:
    """Runs that failed otherwise than by their fault, and those whose fault should have ended them and did not."""
    found = []
    for run in runs:
        name = f"{'_'.join(run.labels.values())}/seed-{run.seed}"
        if run.status == "failed" and not failed_as_meant(run):
            found.append(f"{name} failed: {' '.join(run.error[-1:])}")
        elif run.status in ("fitted", "finished") and run.labels.get("failure") in MEANT_TO_FAIL:
            found.append(f"{name} did not fail")
    return found


def _carry_out(study: Study, output: Path, processes: Processes) -> list[str]:
    found = unexpected(Execution(study, output, processes, failed_as_meant).carry_out())
    return found if study.tested else found + _evaluate(study, output, processes)


def _evaluate(study: Study, output: Path, processes: Processes) -> list[str]:
    """Shares the evaluations out over as many processes as there are devices: starting one takes longer than a few."""
    names = [run.name for cell in cells(study) for run in cell.finals(None)]
    runs = [output / name for name in names if trained_folder(output / name) is not None]
    count, failed = processes.count, []

    def job(number: int, device: str | None) -> None:
        log = output / f"evaluate-{number}.log"
        what = [*map(str, runs), "--forms", *FORMS, "--share", f"{number}/{count}"]
        command = [sys.executable, "-m", "case_study.evaluate", *what]
        # It has nothing to save: an evaluation's files are written at its end.
        if processes.run(command, device, log, signal.SIGKILL) not in (0, None):
            failed.append(f"evaluations failed, see {log}")

    shares = {number: evaluations(runs, FORMS, list(SENTINELS), (number, count)) for number in range(1, count + 1)}
    missing = [number for number, share in shares.items() if not all(one.done for one in share)]
    processes.run_all([lambda device, number=number: job(number, device) for number in missing])  # type: ignore[misc]
    return failed


if __name__ == "__main__":
    answer(main)
