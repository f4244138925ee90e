"""Makes the runs of a study that are missing, and goes on with those that were interrupted."""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from reports.curves import greatest, read_run
from reports.study_record import StudyRun, read_study_run, trained_folder, write_study_run
from studies.matrix import Cell, Run, cells
from studies.processes import Processes
from studies.study import Study

TRAIN = Path(__file__).resolve().parent.parent / "train.py"
_ERROR_LINES = 15


def recorded(study: Study, run: Run, output: Path) -> StudyRun:
    """What is known of a run so far, or the beginning of its record.

    Raises:
        ValueError: If the folder holds a run with other flags.
    """
    new = StudyRun(
        study=study.name,
        question=study.question,
        labels=dict(run.labels),
        reference=dict(run.labels) == study.reference,
        learning_rate=run.learning_rate,
        seed=run.seed,
        monitor=study.monitor,
        flags=list(run.fit_flags),
        test_flags=list(run.test_flags),
    )
    known = read_study_run(output / run.name)
    if known is None:
        return new
    differing = sorted(set(known.flags) ^ set(new.flags)) or sorted(set(known.test_flags) ^ set(new.test_flags))
    if differing:
        raise ValueError(
            f"{str(output / run.name)!r} holds a run with other flags ({', '.join(differing[:4])}). Give another "
            "--output, or move that folder away."
        )
    return replace(new, status=known.status, error=known.error, at_a_time=known.at_a_time)


class Execution:
    """Carries out a study.

    Args:
        study: The study.
        output: Its folder.
        processes: What runs the commands.
        failed_as_meant: Of a run that failed, whether it was meant to, so that it is not tried again; by default, none.
    """

    def __init__(
        self,
        study: Study,
        output: Path,
        processes: Processes,
        failed_as_meant: Callable[[StudyRun], bool] = lambda run: False,
    ) -> None:
        self.study, self.output, self.processes = study, output, processes
        self.failed_as_meant = failed_as_meant
        self.cells = cells(study)

    def carry_out(self) -> list[StudyRun]:
        """Tries the learning rates, then trains and tests with the chosen ones.

        Returns:
            The records of all runs that were due.

        Raises:
            ValueError: If a folder holds a run with other flags.
        """
        tries = [run for cell in self.cells if cell.has_rates_to_try for run in cell.tries()]
        records = {run.name: recorded(self.study, run, self.output) for run in tries}
        self.processes.run_all([lambda device, run=run: self._fit(run, device) for run in tries])  # type: ignore[misc]
        finals = [run for cell in self.cells for run in self._finals(cell)]
        records |= {run.name: recorded(self.study, run, self.output) for run in finals}
        self.processes.run_all([lambda device, run=run: self._fit_and_test(run, device) for run in finals])  # type: ignore[misc]
        return [recorded(self.study, run, self.output) for run in dict.fromkeys([*tries, *finals])]

    def _finals(self, cell: Cell) -> list[Run]:
        """The runs with the chosen rate; none while a try is missing, or if all have failed."""
        if not cell.has_rates_to_try:
            return cell.finals(None)
        tries = cell.tries()
        if any(recorded(self.study, run, self.output).status == "begun" for run in tries):
            return []
        chosen = best_try(tries, self.output, self.study.monitor)
        if chosen is None:
            return []
        if len(tries) > 1:
            print(f"{cell.labels}: learning rate {chosen.learning_rate:g} is best in {self.study.monitor}", flush=True)
        return cell.finals(chosen.learning_rate)

    def _fit_and_test(self, run: Run, device: str | None) -> None:
        ready = not run.trained or self._fit(run, device)
        if ready and self.study.tested and recorded(self.study, run, self.output).status != "finished":
            flags = [*run.test_flags, *(["--ckpt_path=best"] if run.trained else [])]
            # It has nothing to save: its files are written at its end.
            self._command(run, "test", flags, device, signal.SIGKILL, "finished")

    def _fit(self, run: Run, device: str | None) -> bool:
        """Trains unless that was done; whether it is done now."""
        record = recorded(self.study, run, self.output)
        if record.status in ("fitted", "finished"):
            return True
        if record.status == "failed" and self.failed_as_meant(record):
            return False
        going_on = trained_folder(self.output / run.name) is not None
        flags = [*run.fit_flags, *(["--ckpt_path=last"] if going_on else [])]
        return self._command(run, "fit", flags, device, signal.SIGTERM, "fitted")

    def _command(
        self, run: Run, subcommand: str, flags: Sequence[str], device: str | None, stop: int, status: str
    ) -> bool:
        """Runs `train.py` and writes down how it ended; whether it succeeded."""
        if self.processes.stopping is not None:
            return False
        folder, record = self.output / run.name, recorded(self.study, run, self.output)
        folder.mkdir(parents=True, exist_ok=True)
        log, began = folder / f"{subcommand}.log", time.monotonic()
        if record.status == "failed":
            record = replace(record, status="begun", error=[])
        if subcommand == "fit":
            record = replace(record, at_a_time=max(record.at_a_time, self.processes.at_a_time(device)))
        write_study_run(folder, record)
        print(f"{run.name}: {subcommand}{' goes on' if '--ckpt_path=last' in flags else ''} …", flush=True)
        command = [sys.executable, str(TRAIN), subcommand, *flags, f"--trainer.default_root_dir={folder}"]
        code = self.processes.run(command, device, log, stop)
        if code is None:
            return False
        outcome = {"status": "failed", "error": _last_lines(log)} if code else {"status": status}
        write_study_run(folder, replace(record, **outcome))
        ended = f"failed, see {log}" if code else "done"
        print(f"{run.name}: {subcommand} {ended} after {time.monotonic() - began:,.0f} s", flush=True)
        return not code


def best_try(tries: Sequence[Run], output: Path, monitor: str) -> Run | None:
    """The try with the greatest validation figure, None if none has one."""
    found = {run: best_validation(output / run.name, monitor) for run in tries}
    scored = {run: value for run, value in found.items() if value is not None}
    return max(scored, key=lambda run: scored[run]) if scored else None


def best_validation(folder: Path, monitor: str) -> float | None:
    """The greatest finite value of a figure over the validations of a run that was trained to its end."""
    record, trained = read_study_run(folder), trained_folder(folder)
    if record is None or record.status not in ("fitted", "finished") or trained is None:
        return None
    return greatest(read_run(trained), monitor)


@contextmanager
def locked(output: Path) -> Iterator[int]:
    """Keeps a second process from working on a study; its runs hold the lock, too, should this process be killed.

    Yields:
        The lock's file descriptor, for the runs to inherit.

    Raises:
        ValueError: If another process has the lock.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"Another process, or a run that it left behind, works in {str(output)!r}. Wait for it or stop it."
            ) from error
        yield file.fileno()


def _last_lines(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line for line in lines if line.strip()][-_ERROR_LINES:]
