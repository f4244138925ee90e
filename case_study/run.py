"""Runs the whole case study: both studies, every merge, the guards' messages, and the page that they make.

    python -m case_study.run --set pairs=DATA --set base=FOLDER [--devices 0 0 1 1] [--only failures]

The same command goes on where it was interrupted. `python -m reports.case_study` writes the page alone.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from case_study.encoder import write_encoder
from case_study.evaluate import FORMS, SENTINELS, evaluations
from case_study.guards import write_messages
from compare import check, variable
from reports.case_study.page import write_case_study
from reports.study_record import StudyRun, trained_folder
from studies.execution import Execution, locked
from studies.matrix import cells
from studies.processes import Processes, available_devices
from studies.study import Study, read_study

FOLDER = Path(__file__).resolve().parent.parent / "configs/studies/case_study"
STUDIES = ("collapse", "failures")
ENCODER = Path("runs/case_study/encoder")  # where configs/case_study/bertscore_on_gpu.yaml looks for it
# Cells of the study of failures in which the fault ends the run.
MEANT_TO_FAIL = {"fp16-overflow", "minus-100-in-decoding", "bertscore-on-gpu"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m case_study.run", description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a variable of both studies")
    parser.add_argument("--devices", nargs="+", help="CUDA devices; one named twice runs two at a time; default: all")
    parser.add_argument("--output", type=Path, default=Path("runs/case_study"))
    parser.add_argument("--page", type=Path, default=Path("docs"), help="folder of the page; default: docs")
    parser.add_argument("--only", choices=STUDIES, nargs="+", default=list(STUDIES), help="some of the studies")
    options = parser.parse_args(arguments)
    processes = Processes(options.devices or available_devices())
    with locked(options.output), processes.stopped_by_signals():
        unexpected = carry_out(options.only, dict(map(variable, options.set)), options.output, processes)
    if processes.stopping is not None:
        print("Stopped. The same command goes on.")
        return 128 + processes.stopping
    print(write_case_study(options.output, options.page))
    for problem in unexpected:
        print(f"failed, and was not meant to: {problem}")
    return int(bool(unexpected))


def carry_out(names: Sequence[str], variables: Mapping[str, str], output: Path, processes: Processes) -> list[str]:
    """Makes what is missing; returns what failed against expectation."""
    studies = [read_study(FOLDER / f"{name}.yaml", variables) for name in names]
    for study in studies:
        check(study)
    write_messages(output / "guards.json")
    if torch.cuda.is_available():
        write_encoder(ENCODER)
    with ThreadPoolExecutor(len(studies)) as pool:
        runs = list(pool.map(lambda study: Execution(study, output / study.name, processes).carry_out(), studies))
    found = [problem for one in runs for problem in unexpected_failures(one)]
    for study in studies:
        if not study.tested:
            found += _evaluate(study, output / study.name, processes)
    return found


def unexpected_failures(runs: Sequence[StudyRun]) -> list[str]:
    """Runs that failed and are not among `MEANT_TO_FAIL`."""
    failed = [run for run in runs if run.status == "failed" and run.labels.get("failure") not in MEANT_TO_FAIL]
    return [f"{'_'.join(run.labels.values())}/seed-{run.seed}: {run.error[-1:]}" for run in failed]


def _evaluate(study: Study, output: Path, processes: Processes) -> list[str]:
    """Shares the runs out over as many processes as there are devices: starting takes longer than an evaluation."""
    names = [run.name for cell in cells(study) for run in cell.finals(None)]
    runs = [output / name for name in names if trained_folder(output / name) is not None]
    open_runs = [
        run
        for place, run in enumerate(runs)
        if not all(one.done for one in evaluations([run], FORMS if place == 0 else FORMS[:3], list(SENTINELS)))
    ]
    failed: list[str] = []

    def job(part: Sequence[Path], device: str | None) -> None:
        forms = FORMS if runs[0] in part else FORMS[:3]  # the untuned base once
        log = output / f"evaluate-{part[0].parent.name}-{part[0].name}.log"
        command = [sys.executable, "-m", "case_study.evaluate", *map(str, part), "--forms", *forms]
        if processes.run(command, device, log, signal.SIGTERM) not in (0, None):
            failed.append(f"{len(part)} evaluations, see {log}")

    slots = min(processes.count, len(open_runs))
    parts = [open_runs[first::slots] for first in range(slots)]
    processes.run_all([lambda device, part=part: job(part, device) for part in parts])  # type: ignore[misc]
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as problem:
        sys.exit(f"error: {problem}")
