"""Forward and backward pass as two CUDA graphs for each shape of batch: two launches instead of thousands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

LossFunction = Callable[..., tuple[torch.Tensor, torch.Tensor]]

# At least so many before a backward pass is captured (PyTorch, "CUDA semantics", section "Whole-network capture").
_WARM_UP_STEPS = 3

# Each graph takes some MiB of the device; rarer shapes are computed without.
_GREATEST_NUMBER = 24


class GraphedLoss:
    """Replays a loss and its backward pass.

    Gradients are added into the parameters' `.grad`, which stay in one place. Dropout draws from the device's
    generator, as without graphs.

    Args:
        function: Takes tensors, returns a scalar loss and a tensor that needs no gradient. Its shapes and its course
            must depend on nothing but the shapes of the tensors.
        parameters: The parameters that are trained.
    """

    def __init__(self, function: LossFunction, parameters: Sequence[torch.nn.Parameter]) -> None:
        self.function, self.parameters = function, list(parameters)
        self.gradients = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.graphs: dict[tuple[torch.Size, ...], _Graphs] = {}
        # Warm-ups and captures of all shapes share one pool, else each kind would take the memory of a step. They share
        # one stream, too, since a block of a pool is only used again by the stream that it was made for.
        self._pool: Any = None
        self._stream: Any = None
        self._anchor = torch.zeros((), device=self.parameters[0].device, requires_grad=True)

    def __call__(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and further tensor for a batch, captured first if its shapes are new."""
        shapes = tuple(tensor.shape for tensor in tensors)
        if shapes not in self.graphs and len(self.graphs) == _GREATEST_NUMBER:
            return self.function(*tensors)
        if shapes not in self.graphs:
            self.graphs[shapes] = self._capture(tensors)
        return _Replay.apply(self, self.graphs[shapes], self._anchor, *tensors)

    def hold_gradients(self) -> None:
        """Puts the buffers that the graphs add to in the place of `.grad`, empty where that was set to None."""
        gone = []
        for parameter, buffer in zip(self.parameters, self.gradients, strict=True):
            if parameter.grad is buffer:
                continue
            if parameter.grad is None:
                gone.append(buffer)
            else:
                buffer.copy_(parameter.grad)
            parameter.grad = buffer
        if gone:
            torch._foreach_zero_(gone)

    def _capture(self, tensors: Sequence[torch.Tensor]) -> _Graphs:
        began = time.perf_counter()
        inputs = [tensor.clone() for tensor in tensors]
        state = torch.cuda.get_rng_state(inputs[0].device)
        self._warm_up(inputs)
        forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with self._captured(forward):
            loss, further = self.function(*inputs)
        upstream = torch.ones_like(loss)
        held = [parameter.grad for parameter in self.parameters]
        for parameter, buffer in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = buffer
        with self._captured(backward):
            loss.backward(upstream)
        for parameter, gradient in zip(self.parameters, held, strict=True):
            parameter.grad = gradient
        # As if nothing had been drawn: a resumed run captures at another step than the run it continues.
        torch.cuda.set_rng_state(state, inputs[0].device)
        shapes = ", ".join("x".join(map(str, tensor.shape)) for tensor in inputs)
        rank_zero_info(
            f"Captured the training step for shapes {shapes} in {time.perf_counter() - began:.1f} s "
            f"({len(self.graphs) + 1} so far)."
        )
        return _Graphs(forward, backward, inputs, loss.detach(), further.detach(), upstream)

    def _warm_up(self, inputs: Sequence[torch.Tensor]) -> None:
        if self._pool is None:
            self._pool, self._stream = torch.cuda.MemPool(), torch.cuda.Stream(inputs[0].device)

        def step() -> None:
            # Not `backward`, which would add to the gradients.
            found = torch.autograd.grad(self.function(*inputs)[0], self.parameters, allow_unused=True)
            self._keep([gradient is not None for gradient in found])

        # A thread of the backward pass's own would take its memory elsewhere.
        with torch.cuda.use_mem_pool(self._pool), torch.autograd.set_multithreading_enabled(False):
            warm_up(step, _WARM_UP_STEPS, self._stream)

    def _keep(self, reached: Sequence[bool]) -> None:
        """Leave alone the parameters that no gradient reaches: a buffer of zeros would look like one."""
        if not all(reached):
            self.parameters = list(compress(self.parameters, reached))
            self.gradients = list(compress(self.gradients, reached))

    def _captured(self, graph: torch.cuda.CUDAGraph) -> torch.cuda.graph:
        # Other threads, such as those that load data or watch over other devices, may go on using the device.
        return torch.cuda.graph(graph, pool=self._pool.id, stream=self._stream, capture_error_mode="thread_local")


def warm_up(step: Callable[[], object], times: int, stream: torch.cuda.Stream | None = None) -> None:
    """Runs what is to be captured: compilers and libraries set themselves up in their first calls.

    Not on the current stream, as in a capture (PyTorch, "CUDA semantics", section "Whole-network capture").

    Args:
        step: What is to be captured.
        times: How often it runs.
        stream: Where; null is a new one.
    """
    stream = stream or torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(times):
            step()
    torch.cuda.current_stream().wait_stream(stream)


@dataclass(frozen=True)
class _Graphs:
    forward: torch.cuda.CUDAGraph
    backward: torch.cuda.CUDAGraph
    inputs: list[torch.Tensor]
    loss: torch.Tensor
    further: torch.Tensor
    upstream: torch.Tensor


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, owner: GraphedLoss, graphs: _Graphs, anchor: torch.Tensor, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        torch._foreach_copy_(graphs.inputs, list(tensors), non_blocking=True)
        graphs.forward.replay()
        ctx.owner, ctx.graphs, ctx.count = owner, graphs, len(tensors)
        loss, further = graphs.loss.clone(), graphs.further.clone()
        ctx.mark_non_differentiable(further)
        return loss, further

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, ...]:
        # Not before: an optimizer's gradients may be set to None between the passes.
        ctx.owner.hold_gradients()
        ctx.graphs.upstream.copy_(gradients[0])
        ctx.graphs.backward.replay()
        return (None,) * (3 + ctx.count)
