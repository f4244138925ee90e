"""What to change when a training step does not fit into memory, and what each change saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lightning_modules.memory import MemorySettings, estimate


@dataclass(frozen=True)
class Step:
    """A training step on the longest batch.

    Attributes:
        settings: What decides its memory.
        rows: Of the batch.
        source_tokens: Width of the sources.
        target_tokens: Width of the labels.
    """

    settings: MemorySettings
    rows: int
    source_tokens: int
    target_tokens: int

    @property
    def total(self) -> int:
        """Estimated peak in bytes."""
        return estimate(self.settings, self.rows, self.source_tokens, self.target_tokens).total

    def __str__(self) -> str:
        return f"training on batches of {self.rows} x {self.source_tokens}/{self.target_tokens} tokens"


def remedies(step: Step, count: int = 3) -> list[tuple[str, int]]:
    """The changes that save most, each alone.

    Args:
        step: The step as it is.
        count: Greatest number of changes.

    Returns:
        Setting and saved bytes, the most helpful first; changes that save nothing are left out.
    """
    found = [(change, step.total - other.total) for change, other in _changes(step)]
    return sorted((pair for pair in found if pair[1] > 0), key=lambda pair: -pair[1])[:count]


def _changes(step: Step) -> Iterator[tuple[str, Step]]:
    settings = step.settings
    if step.rows > 1:
        rows = step.rows // 2
        times = -(-step.rows // rows)
        yield (
            f"data.batch_size: {rows} with trainer.accumulate_grad_batches times {times} (the same effective batch)",
            replace(step, rows=rows),
        )
    if not settings.gradient_checkpointing:
        yield (
            "model.gradient_checkpointing: true (a third slower)",
            replace(step, settings=replace(settings, gradient_checkpointing=True)),
        )
    if step.source_tokens > 1:
        half = step.source_tokens // 2
        yield f"data.max_source_tokens: {half} (cuts longer articles)", replace(step, source_tokens=half)
    if settings.chunk_tokens is None or settings.chunk_tokens > 128:
        chunked = replace(settings, chunk_tokens=128)
        yield "model.acceleration.loss_chunk: 128", replace(step, settings=chunked)
    if settings.adaptation == "full":
        yield "model.adaptation: lora (trains adapters only)", replace(step, settings=_with_adapters(settings))


def _with_adapters(settings: MemorySettings) -> MemorySettings:
    """Half the weights' memory, and next to nothing to train: rank 16 on every linear layer is 1% or so."""
    halved, adapters = settings.weight_bytes // 2, settings.trainable // 100
    return replace(settings, adaptation="lora", weight_bytes=halved, trainable=adapters)
