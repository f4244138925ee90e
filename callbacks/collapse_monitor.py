"""Says in words when a model has stopped writing summaries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L

from callbacks.collapse_advice import ADVICE
from callbacks.step_rows import add_rows
from callbacks.watcher import Watcher
from metrics.collapse import MAX_UNIFORM
from metrics.invented_words import MAX_INVENTED_WORDS

log = logging.getLogger(__name__)


class CollapseError(ValueError):
    """Raised by `CollapseMonitor` to end a run."""


@dataclass(frozen=True)
class Diagnosis:
    """One figure of one language beyond its threshold.

    Attributes:
        step: Optimizer step of the validation.
        language: Language code.
        figure: Name in the log, such as `ended`.
        value: What was logged as `val/<figure>/<language>`.
        threshold: The bound that it is beyond.
        in_a_row: Validations in a row beyond it, this one included.
        text: What is wrong, and what to try.
    """

    step: int
    language: str
    figure: str
    value: float
    threshold: float
    in_a_row: int
    text: str


class CollapseMonitor(Watcher):
    """Looks at the figures of every validation, language by language, and warns or stops with a diagnosis in words.

    A diagnosis is shown when it begins, and appended to `diagnosis.jsonl` in the run's folder at every validation that
    it lasts. `stop` raises an error before the next training step, when the last checkpoint has been saved, so that the
    run ends with the diagnosis and exit code 1, and can be continued.

    Sentinels are suppressed in generation by default: then `sentinel_start` and `sentinel` stay 0 even if the model
    would print nothing else, and what it prints instead shows in the other figures. To look, set
    `model.generation.suppress_sentinels` to false.

    All thresholds are shares of the summaries in [0, 1] but those of the length, and null switches one off.

    Args:
        max_sentinel_start: Greatest share of summaries that begin with `<extra_id_N>`.
        max_sentinel: Greatest share of summaries with `<extra_id_N>` anywhere.
        min_ended: Least share of summaries that end by `</s>` rather than by the length limit.
        max_empty: Greatest share of summaries without words.
        max_repetition: Greatest mean share of repeated 3-grams; reference summaries have below 0.02.
        min_length_ratio: Least mean length in words over the reference's; at least 0.
        max_length_ratio: Greatest mean length in words over the reference's; above `min_length_ratio`.
        max_wrong_language: Greatest share of summaries in another language.
        max_copied: Greatest share of summaries that stand word for word in their article.
        max_uniform: Greatest share of summaries that another article has got, too, word for word.
        max_invented_words: Greatest mean share of words that stand neither in the article nor among the known words.
        action: `warn`, or `stop` the run.
        patience: Validations in a row beyond one threshold before `stop` stops; at least 1.
        ignore_steps: Validations before this optimizer step are not judged: every model begins sick.

    Raises:
        ValueError: If a threshold or number is out of range.
    """

    deliberate = (CollapseError,)

    def __init__(
        self,
        max_sentinel_start: float | None = 0.05,
        max_sentinel: float | None = 0.05,
        min_ended: float | None = 0.5,
        max_empty: float | None = 0.05,
        max_repetition: float | None = 0.2,
        min_length_ratio: float | None = 0.33,
        max_length_ratio: float | None = 3.0,
        max_wrong_language: float | None = 0.05,
        max_copied: float | None = 0.5,
        max_uniform: float | None = MAX_UNIFORM,
        max_invented_words: float | None = MAX_INVENTED_WORDS,
        action: Literal["warn", "stop"] = "warn",
        patience: int = 2,
        ignore_steps: int = 100,
    ) -> None:
        self._greatest = {
            "sentinel_start": max_sentinel_start,
            "sentinel": max_sentinel,
            "empty": max_empty,
            "repetition": max_repetition,
            "length_ratio": max_length_ratio,
            "wrong_language": max_wrong_language,
            "copied": max_copied,
            "uniform": max_uniform,
            "invented_words": max_invented_words,
        }
        self._least = {"ended": min_ended, "length_ratio": min_length_ratio}
        _require_shares(self._greatest | self._least)
        if min_length_ratio is not None and not min_length_ratio >= 0:
            raise ValueError(f"CollapseMonitor.min_length_ratio {min_length_ratio} must be at least 0.")
        if max_length_ratio is not None and not max_length_ratio > (min_length_ratio or 0):
            raise ValueError(
                f"CollapseMonitor.max_length_ratio {max_length_ratio} must be above the least, {min_length_ratio or 0}."
            )
        if patience < 1:
            raise ValueError(f"CollapseMonitor.patience {patience} must be at least 1.")
        if ignore_steps < 0:
            raise ValueError(f"CollapseMonitor.ignore_steps {ignore_steps} must be at least 0.")
        self.action, self.patience, self.ignore_steps = action, patience, ignore_steps
        self._in_a_row: dict[str, int] = {}
        self._fatal: list[Diagnosis] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Judges what the validation has logged."""
        fitting = trainer.state.fn == "fit"
        if trainer.sanity_checking or (fitting and trainer.global_step < self.ignore_steps):
            return
        found = list(self._diagnose(trainer))
        self._in_a_row = {f"{one.figure}/{one.language}/{one.threshold}": one.in_a_row for one in found}
        if self.action == "stop" and fitting:
            self._fatal = [one for one in found if one.in_a_row >= self.patience]
        if trainer.is_global_zero:
            for one in found:
                if one.in_a_row == 1:
                    log.warning("Step %d: %s", one.step, one.text)
            folder = Path(trainer.default_root_dir)
            path = (folder if fitting else folder / "validate") / "diagnosis.jsonl"
            add_rows(path, trainer.global_step, [asdict(one) for one in found])

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stops; not earlier, since the last checkpoint is saved after `on_validation_end`."""
        self._stop()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops."""
        self._stop()

    def state_dict(self) -> dict[str, Any]:
        """How long each figure has been beyond its threshold."""
        return {"in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        self._in_a_row = dict(state_dict["in_a_row"])

    def _diagnose(self, trainer: L.Trainer) -> Iterator[Diagnosis]:
        for key, logged in sorted(trainer.callback_metrics.items()):
            stage, *name = key.split("/")
            if stage != "val" or len(name) != 2:
                continue
            figure, language = name
            value = float(logged)
            greatest, least = self._greatest.get(figure), self._least.get(figure)
            # Negated, so that NaN counts as beyond.
            if greatest is not None and not value <= greatest:
                yield self._diagnosis(trainer, language, figure, value, greatest, ADVICE[figure, "high"])
            if least is not None and not value >= least:
                yield self._diagnosis(trainer, language, figure, value, least, ADVICE[figure, "low"])

    def _diagnosis(
        self, trainer: L.Trainer, language: str, figure: str, value: float, threshold: float, advice: str
    ) -> Diagnosis:
        in_a_row = self._in_a_row.get(f"{figure}/{language}/{threshold}", 0) + 1
        text = advice.format(value=value, rest=1 - value, language=language)
        return Diagnosis(trainer.global_step, language, figure, value, threshold, in_a_row, text)

    def _stop(self) -> None:
        if self._fatal:
            fatal, self._fatal = self._fatal, []
            raise CollapseError(
                f"CollapseMonitor stopped the run at step {fatal[0].step}, after {fatal[0].in_a_row} validations in a "
                "row with\n" + "\n".join(f"  {one.text}" for one in fatal)
            )


def _require_shares(thresholds: dict[str, float | None]) -> None:
    for figure, threshold in thresholds.items():
        if figure != "length_ratio" and threshold is not None and not 0 <= threshold <= 1:
            raise ValueError(f"CollapseMonitor's threshold {threshold} of {figure} must be a share in [0, 1], or null.")
