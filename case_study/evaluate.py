"""Tests finished runs with their adapters unmerged and merged, with and without sentinels, in one process.

    python -m case_study.evaluate RUNS... [--forms adapters nf4 bf16] [--sentinels allowed suppressed] [--share 1/4]

RUNS are folders that `compare.py run` made. Each evaluation is a `results.json` and a `predictions.jsonl` in
RUN/evaluations/FORM-SENTINELS/test, in the form of `train.py test`; those that are there are not made again.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jsonargparse import Namespace

import train
from commands.arguments import ArgumentParser
from commands.failures import answer
from reports.case_study.collapse import MERGE_RECORD
from reports.results import read_predictions, read_results, write_predictions, write_results
from reports.study_record import trained_folder

FORMS = ("adapters", "nf4", "bf16", "untuned")
SENTINELS = {"allowed": False, "suppressed": True}  # model.generation.suppress_sentinels


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of a run.

    Attributes:
        run: The run's folder in its study.
        form: `adapters` beside the weights, merged into `nf4` or `bf16`, or the `untuned` base.
        sentinels: `allowed` in the summaries, or `suppressed`.
    """

    run: Path
    form: str
    sentinels: str

    @property
    def folder(self) -> Path:
        """Where it is written."""
        return self.run / "evaluations" / f"{self.form}-{self.sentinels}"

    @property
    def done(self) -> bool:
        """Whether it is there."""
        return (self.folder / "test" / "results.json").is_file()


class EvaluatingCLI(train.OzetCLI):
    """Tests a checkpoint of a run, and writes into a folder of its own.

    Args:
        folder: The folder.
        *args: As of `OzetCLI`.
        **kwargs: As of `OzetCLI`.
    """

    def __init__(self, *args: object, folder: Path, **kwargs: object) -> None:
        self.folder = folder
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def before_instantiate_classes(self) -> None:
        """Places the evaluation."""
        self.config[self.subcommand].trainer.update(Namespace(default_root_dir=str(self.folder), logger=False))


def evaluate(one: Evaluated) -> None:
    """Makes one evaluation. Articles are left out of its predictions: those of the run's own test have them.

    Raises:
        ValueError: If the run has saved no checkpoint.
    """
    trained = trained_folder(one.run)
    if trained is None:
        raise ValueError(f"{str(one.run)!r} has saved no checkpoint; train it first, by compare.py run.")
    command = [
        "test",
        f"--config={trained / 'config.yaml'}",
        f"--ckpt_path={trained / 'checkpoints/last.ckpt'}",
        f"--model.generation.suppress_sentinels={json.dumps(SENTINELS[one.sentinels])}",
        "--trainer.enable_progress_bar=false",
    ]
    if one.form != "adapters":
        settings = {"form": one.form, "record": str(one.folder / MERGE_RECORD)}
        merging = {"class_path": "case_study.merging.MergeAdapters", "init_args": settings}
        command.append(f"--trainer.callbacks+={json.dumps([merging])}")
    train.main(command, partial(EvaluatingCLI, folder=one.folder))  # type: ignore[arg-type]
    predictions = one.folder / "test" / "predictions.jsonl"
    write_predictions(predictions, [row | {"article": ""} for row in read_predictions(predictions)])


def make(one: Evaluated) -> None:
    """Makes one evaluation that is not there yet; where it must equal a finished one, by copying that."""
    allowed = replace(one, sentinels="allowed")
    if one.sentinels == "suppressed" and allowed.done and without_sentinels(allowed.folder / "test"):
        results = allowed.folder / "test/results.json"
        shutil.copytree(allowed.folder, one.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(results.name))
        write_results(one.folder / "test/results.json", read_results(results))  # last, since it says that all is there
    else:
        evaluate(one)


def without_sentinels(folder: Path) -> bool:
    """Whether greedy summaries hold no sentinel though they might: suppressing them then changes nothing."""
    greedy = read_results(folder / "results.json").settings["generation"]["num_beams"] == 1
    return greedy and not any(row["scores"]["sentinel"] for row in read_predictions(folder / "predictions.jsonl"))


def evaluations(
    runs: Sequence[Path], forms: Sequence[str], sentinels: Sequence[str], share: tuple[int, int] = (1, 1)
) -> list[Evaluated]:
    """Those of the runs; the base, which all runs have in common, is evaluated in the first only.

    Args:
        runs: Folders.
        forms: Of `FORMS`.
        sentinels: Of `SENTINELS`; those of one run and form are in one share.
        share: Which of how many equal shares, counted from 1.
    """
    first = [form for form in forms if form == "untuned"]
    others = [form for form in forms if form != "untuned"]
    wanted = [(run, form) for run in runs for form in others] + [(run, form) for run in runs[:1] for form in first]
    number, count = share
    return [Evaluated(run, form, kind) for run, form in wanted[number - 1 :: count] for kind in sentinels]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = ArgumentParser(prog="python -m case_study.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs in a study, such as STUDY/CELL/seed-0")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS[:3])
    parser.add_argument("--sentinels", nargs="+", choices=list(SENTINELS), default=list(SENTINELS))
    parser.add_argument("--share", type=_share, default=(1, 1), metavar="1/4", help="the first of four equal shares")
    options = parser.parse_args(arguments)
    for one in evaluations(options.runs, options.forms, options.sentinels, options.share):
        if not one.done:
            make(one)


def _share(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not 1 <= int(number) <= int(count):
        raise ValueError(text)
    return int(number), int(count)


if __name__ == "__main__":
    arguments = [sys.argv.pop(1) for _ in sys.argv[1:]]  # else Lightning's command line would warn of them
    answer(lambda: main(arguments))
