"""BERTScore of generated summaries on the CPU, in a process of its own, while training goes on."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import lightning as L
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from callbacks.bertscore_process import ScorerProcess
from callbacks.record_number import validation_record
from callbacks.watcher import Watcher
from lightning_modules.evaluation import EvaluatedSummary, Evaluation
from metrics.bertscore import RAW, RESCALED, Encoder

log = logging.getLogger(__name__)


@dataclass
class _Pending:
    """An evaluation whose scores are on their way: the summaries, and copies that gather their BERTScore only."""

    stage: str
    step: int
    languages: int
    summaries: list[EvaluatedSummary]
    copies: list[EvaluatedSummary]
    unanswered: int = 0

    def state(self) -> dict[str, Any]:
        """All that scoring needs, as plain data."""
        copies = [asdict(replace(one, article="", scores={})) for one in self.copies]
        return {"stage": self.stage, "step": self.step, "languages": self.languages, "copies": copies}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> _Pending:
        """The same again, with nothing scored yet."""
        return cls(**{**state, "summaries": [], "copies": [EvaluatedSummary(**one) for one in state["copies"]]})


class BertScore(Watcher):
    """Logs `val/bertscore/LANGUAGE` and `val/bertscore`, the mean over all languages, at the step they belong to.

    A validation hands its summaries to the process and training goes on; what is finished is logged after the next
    batch. Training waits for the rest at its end; a resumed run scores what was on its way. `validate` and `test` wait
    for all, and put the figures into the `scores` of each summary. Scores come late: no callback can monitor them.

    Whatever fails there ends scoring, of one language or of all, with a warning, but never the run.

    Args:
        encoders: The model of each language that shall not have bert-score's default.
        rescale: Also log `bertscore_rescaled`, where bert-score has a baseline for language and model.
        batch_size: Texts encoded at once; at least 1.
        threads: CPU threads of the process; at least 1.
        limit: Summaries of each language scored in each validation during training, the first by id; at least 1, null
            scores all.
        timeout_minutes: Longest wait at the end without any answer; above 0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        encoders: dict[str, Encoder] | None = None,
        rescale: bool = False,
        batch_size: int = 32,
        threads: int = 2,
        limit: int | None = 500,
        timeout_minutes: float = 30.0,
    ) -> None:
        for name, value in {"batch_size": batch_size, "threads": threads, "limit": limit}.items():
            if value is not None and value < 1:
                raise ValueError(f"BertScore.{name} {value} must be at least 1.")
        if not timeout_minutes > 0:
            raise ValueError(f"BertScore.timeout_minutes {timeout_minutes} must be above 0.")
        self.encoders = encoders or {}
        self.rescale, self.batch_size, self.threads = rescale, batch_size, threads
        self.limit, self.timeout_minutes = limit, timeout_minutes
        self._process: ScorerProcess | None = None
        self._unscored: list[dict[str, Any]] = []
        self._begin()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Forgets the failures of an earlier run."""
        self._begin()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hands over the summaries whose scores a checkpoint was waiting for."""
        unscored, self._unscored = self._unscored, []
        for saved in unscored if trainer.is_global_zero else ():
            self._ask(_Pending.of_state(saved))

    def state_dict(self) -> dict[str, Any]:
        """Summaries whose scores are on their way."""
        waiting = {id(scoring): scoring for scoring, _ in self._requests.values()}
        return {"unscored": [scoring.state() for scoring in waiting.values()]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps them for `on_fit_start`."""
        self._unscored = state_dict["unscored"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Logs what is finished."""
        self._poll(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Hands over the summaries."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            self._evaluate(trainer, "val", pl_module.evaluation)

    def on_test_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Hands over the summaries, and waits."""
        if trainer.is_global_zero:
            self._evaluate(trainer, "test", pl_module.evaluation)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Waits; not earlier, so that the last checkpoint is already saved."""
        self._wait(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Ends the process, without waiting."""
        if self._requests:
            log.warning("The run ended before %d summaries had their BERTScore.", self._pairs_left())
        self._close()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Ends the process."""
        self._close()

    def release(self, error: Exception) -> None:
        """Ends the process."""
        self._close()

    # -- handing over ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._requests: dict[int, tuple[_Pending, list[EvaluatedSummary]]] = {}
        self._failed: set[str] = set()  # languages
        self._off = False

    def _evaluate(self, trainer: L.Trainer, stage: str, evaluation: Evaluation) -> None:
        fitting = trainer.state.fn == "fit"
        by_language = evaluation.by_language()
        chosen: list[EvaluatedSummary] = []
        for language, summaries in by_language.items():
            if language not in self._failed:
                chosen += sorted(summaries, key=lambda summary: summary.id)[: self.limit if fitting else None]
        copies = [replace(summary, scores={}) for summary in chosen]
        self._ask(_Pending(stage, validation_record(trainer), len(by_language), chosen, copies))
        if not fitting:
            self._wait(trainer)

    def _ask(self, scoring: _Pending) -> None:
        if self._off:
            return
        try:
            self._process = self._process or ScorerProcess(self.settings, self.threads)
        except OSError as error:
            self._switch_off(str(error))
            return
        for language, summaries in Evaluation(scoring.copies).by_language().items():
            for start in range(0, len(summaries), self.batch_size):
                batch = summaries[start : start + self.batch_size]
                predictions, references = [one.prediction for one in batch], [one.reference for one in batch]
                self._requests[self._process.ask(language, predictions, references)] = (scoring, batch)
                scoring.unanswered += 1

    @property
    def settings(self) -> dict[str, Any]:
        """What the figures depend on, as plain data."""
        encoders = {language: asdict(encoder) for language, encoder in self.encoders.items()}
        return {"encoders": encoders, "rescale": self.rescale, "batch_size": self.batch_size}

    # -- receiving ---------------------------------------------------------------------------------------------------

    def _poll(self, trainer: L.Trainer) -> None:
        while self._requests and self._receive(trainer, seconds=0.0):
            pass

    def _wait(self, trainer: L.Trainer) -> None:
        self._poll(trainer)
        deadline = time.monotonic() + 60 * self.timeout_minutes
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not self._requests) as bar:
            total = self._pairs_left()
            task = bar.add_task("BERTScore of the last summaries", total=total)
            while self._requests and time.monotonic() < deadline:
                if self._receive(trainer, seconds=max(deadline - time.monotonic(), 0.001)):
                    deadline = time.monotonic() + 60 * self.timeout_minutes  # slow is not hanging
                bar.update(task, completed=total - self._pairs_left())
        if self._requests:
            self._switch_off(
                f"{self._pairs_left()} summaries have no score, and for {self.timeout_minutes:g} minutes none came. "
                "Raise timeout_minutes or threads, or lower batch_size"
            )

    def _receive(self, trainer: L.Trainer, seconds: float) -> bool:
        assert self._process is not None  # there are requests
        try:
            reply = self._process.reply(seconds)
        except OSError as error:
            self._switch_off(str(error))
            return False
        if reply is None:
            return False
        scoring, summaries = self._requests.pop(reply["id"])
        if "error" in reply:
            self._fail(summaries[0].language, reply["error"])
        for name, values in reply.get("scores", {}).items():
            for summary, value in zip(summaries, values, strict=True):
                summary.scores[name] = value
        for remark in reply.get("remarks", []):
            log.warning("BERTScore: %s", remark)
        scoring.unanswered -= 1
        if scoring.unanswered == 0:
            self._finish(trainer, scoring)
        return True

    def _finish(self, trainer: L.Trainer, scoring: _Pending) -> None:
        scored = [summary for summary in scoring.copies if summary.language not in self._failed]
        means = {key: value for key, value in Evaluation(scored).metrics().items() if _name(key) in (RAW, RESCALED)}
        for name in (RAW, RESCALED):
            # The mean over languages must not change its meaning when one of them drops out.
            if sum(key.startswith(f"{name}/") for key in means) < scoring.languages:
                means.pop(name, None)
        if not means:
            return
        for logger in trainer.loggers:
            logger.log_metrics({f"{scoring.stage}/{key}": value for key, value in means.items()}, step=scoring.step)
            logger.save()
        if trainer.state.fn != "fit":
            for summary, copy in zip(scoring.summaries, scoring.copies, strict=True):
                summary.scores |= copy.scores if summary.language not in self._failed else {}
            print("  ".join(f"{scoring.stage}/{key} {value:.4f}" for key, value in means.items()), flush=True)

    # -- failing -----------------------------------------------------------------------------------------------------

    def _fail(self, language: str, error: str) -> None:
        if language not in self._failed:
            self._failed.add(language)
            log.warning(
                "BERTScore of language %s is off for the rest of this run: %s. Offline, name a folder in "
                "BertScore.encoders.%s.model.",
                language,
                error.strip(". \n"),
                language,
            )

    def _switch_off(self, cause: str) -> None:
        log.warning("BERTScore is off for the rest of this run: %s.", cause)
        self._off = True
        self._close()

    def _close(self) -> None:
        self._requests.clear()
        if self._process is not None:
            self._process.close()
            self._process = None

    def _pairs_left(self) -> int:
        return sum(len(summaries) for _, summaries in self._requests.values())


def _name(key: str) -> str:
    return key.split("/")[0]
