"""Says before training whether it fits into the GPU's memory, and what to change when it does not."""

from __future__ import annotations

import traceback
from dataclasses import asdict, replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_warn

from lightning_modules.device_memory import available_bytes
from lightning_modules.memory import MemoryEstimate, MemorySettings, estimate, generation_bytes, largest_batch
from lightning_modules.memory_remedies import Step, remedies
from lightning_modules.memory_settings import training_memory
from lightning_modules.seq2seq import Seq2SeqModule


class MemoryGuard(L.Callback):
    """Compares the estimated peak of memory with what the GPU has, before the first step; explains running out of it.

    Silent on a CPU and for models that are no mT5 of ours. It measures nothing and changes nothing.

    Args:
        refuse_above: Refuse to train if the estimate is more than so many times the memory; null never refuses. Above
            1, since an estimate may be too high.
        warn_above: Warn if the estimate is more than this share of the memory; above 0.

    Raises:
        ValueError: If a number is out of range; in `on_train_start`, if training would not fit.
    """

    def __init__(self, refuse_above: float | None = 1.3, warn_above: float = 0.9) -> None:
        if refuse_above is not None and not refuse_above > 1:
            raise ValueError(f"MemoryGuard.refuse_above {refuse_above} must be above 1, or null.")
        if not warn_above > 0:
            raise ValueError(f"MemoryGuard.warn_above {warn_above} must be above 0.")
        self.refuse_above, self.warn_above = refuse_above, warn_above
        self._step: Step | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the estimate; refuses or warns."""
        self._step = None
        available = available_bytes(pl_module.device)
        if available is None or not isinstance(pl_module, Seq2SeqModule):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._step = Step(training_memory(pl_module), data.batch_size, *_widths(data))
        generation = _generation(pl_module, data, self._step.settings)
        self.judge(self._step, generation, available)

    def judge(self, step: Step, generation: int, available: int) -> None:
        """Prints what a step takes beside what is there.

        Args:
            step: The longest step.
            generation: Bytes that validation needs for generating.
            available: Bytes that the process may use.

        Raises:
            ValueError: If the step is far above them.
        """
        settings, shape = step.settings, (step.source_tokens, step.target_tokens)
        needed = replace(estimate(settings, step.rows, *shape), generation=generation)
        line = (
            f"Memory: about {_gib(needed.total)} GiB at the peak of {step} ({_parts(needed)}); "
            f"{_gib(available)} GiB are there; largest batch that fits: {largest_batch(settings, available, *shape)}."
        )
        if self.refuse_above is not None and needed.total > self.refuse_above * available:
            raise ValueError(
                f"{line} {_advice(step)} If you think that the estimate is wrong, set MemoryGuard.refuse_above to null."
            )
        if needed.total > self.warn_above * available:
            rank_zero_warn(f"{line} That is close. {_advice(step)}")
        else:
            rank_zero_info(line)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Makes the message of an out-of-memory error tell what to change."""
        if not isinstance(exception, torch.OutOfMemoryError):
            return
        if trainer.training and self._step is not None:
            where, advice = f"at step {trainer.global_step} ({self._step})", _advice(self._step)
        elif trainer.validating or trainer.sanity_checking or trainer.testing or trainer.predicting:
            where, advice = _of_an_evaluation(exception)
        else:
            return
        said = ". ".join(str(exception).split(". ")[:2])
        exception.args = (f"Out of memory {where}. {advice} PyTorch said: {said}.",)


_EVALUATION_ADVICE = (
    "Lower data.eval_batch_size, model.generation.num_beams or model.generation.max_new_tokens; memory grows with each "
    "of them."
)
_CALLBACK_ADVICE = "Let it hold less or work on the CPU, or take it out of trainer.callbacks."


def _of_an_evaluation(exception: BaseException) -> tuple[str, str]:
    """Where memory ran out, and what helps: in a callback, which the traceback names, or in generation."""
    for frame, _ in traceback.walk_tb(exception.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, L.Callback):
            return f"in the callback {type(owner).__name__} ({frame.f_code.co_name})", _CALLBACK_ADVICE
    return "while generating summaries", _EVALUATION_ADVICE


def _advice(step: Step) -> str:
    found = [f"{change} saves about {_gib(saved)} GiB" for change, saved in remedies(step)]
    return f"What helps: {'; '.join(found)}."


def _widths(data: Any) -> tuple[int, int]:
    batch = data.longest_batch(1)
    return batch["input_ids"].shape[1], batch["labels"].shape[1]


def _generation(module: Seq2SeqModule, data: Any, settings: MemorySettings) -> int:
    beams, new_tokens = module.generation.num_beams, module.generation.max_new_tokens
    longest, growth = data.encoding.max_source_tokens, data.eval_batch_growth
    shapes = ((data.eval_batch_size, longest), (data.eval_batch_size * growth, longest // growth))
    return max(generation_bytes(settings.architecture, rows, beams, width, new_tokens) for rows, width in shapes)


def _parts(needed: MemoryEstimate) -> str:
    return ", ".join(f"{name} {_gib(value)}" for name, value in asdict(needed).items() if value >= 2**20)


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f}" if size < 10 * 2**30 else f"{size / 2**30:.1f}"
