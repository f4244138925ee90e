"""How many matrix operations a training step needs, and how many the GPU can do.

Counted is what the arithmetic needs, not what a recipe does: no padding, no second forward pass of gradient
checkpointing, no logits of tokens that do not count, no unpacking of 4-bit weights. A product of (m, k) and (k, n)
matrices counts 2mkn. Let a frozen linear layer map a to b features for N tokens, with an adapter of rank r:

- forward 2abN, backward to its input 2abN, which the first attention of each stack does not need, as nothing below it
  is trained; its adapter 2r(a + b)N forward, as much for the two weights' gradients, and again for the inputs'.
- attention of a row over s and t tokens: 4stI forward (I: heads x head size), twice that backward; no causal saving.
- the head: 2dV for each label token forward, and again backward.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import torch

Layers = Literal["all-linear"] | Collection[str]


@dataclass(frozen=True)
class Linear:
    """A linear layer at work.

    Attributes:
        name: Its last name in the model.
        width: Input features plus output features.
        size: Input features times output features.
        tokens: Tokens of the batch that pass it.
        to_input: Whether its input needs a gradient.
    """

    name: str
    width: int
    size: int
    tokens: int
    to_input: bool


def linear_layers(config: Any, source_tokens: int, target_tokens: int) -> Iterator[Linear]:
    """All linear layers of an mT5 but its head.

    Args:
        config: Of the model.
        source_tokens: Tokens of all sources of a batch.
        target_tokens: Tokens of all labels of a batch.
    """
    hidden, inner, wide = config.d_model, config.num_heads * config.d_kv, config.d_ff
    wi = ("wi_0", "wi_1") if config.is_gated_act else ("wi",)

    def attention(queries: int, keys: int, queries_need: bool, keys_need: bool) -> Iterator[Linear]:
        for name, tokens, need in (("q", queries, queries_need), ("k", keys, keys_need), ("v", keys, keys_need)):
            yield Linear(name, hidden + inner, hidden * inner, tokens, need)
        yield Linear("o", inner + hidden, inner * hidden, queries, True)

    def feed_forward(tokens: int) -> Iterator[Linear]:
        for name in (*wi, "wo"):
            yield Linear(name, hidden + wide, hidden * wide, tokens, True)

    for layer in range(config.num_layers):
        yield from attention(source_tokens, source_tokens, layer > 0, layer > 0)
        yield from feed_forward(source_tokens)
    for layer in range(config.num_decoder_layers):
        yield from attention(target_tokens, target_tokens, layer > 0, layer > 0)
        yield from attention(target_tokens, source_tokens, True, True)
        yield from feed_forward(target_tokens)


def attention_products(config: Any, sources: Sequence[int], targets: Sequence[int]) -> int:
    """Operations of the attention's own products, forward, over rows of these lengths."""
    inner = config.num_heads * config.d_kv
    encoder = config.num_layers * sum(length**2 for length in sources)
    decoder = sum(target * (target + source) for source, target in zip(sources, targets, strict=True))
    return 4 * inner * (encoder + config.num_decoder_layers * decoder)


def forward_flops(
    config: Any, sources: Sequence[int], targets: Sequence[int], adapted: Layers = (), rank: int = 0
) -> int:
    """Operations of a forward pass over rows of these lengths (tokens, `</s>` included)."""
    layers = list(linear_layers(config, sum(sources), sum(targets)))
    frozen = sum(2 * layer.size * layer.tokens for layer in layers)
    adapters = sum(2 * rank * layer.width * layer.tokens for layer in layers if _is_adapted(layer, adapted))
    head = 2 * config.d_model * config.vocab_size * sum(targets)
    return frozen + adapters + head + attention_products(config, sources, targets)


def step_flops(config: Any, sources: Sequence[int], targets: Sequence[int], adapted: Layers, rank: int) -> int:
    """Operations of a forward and backward pass that trains adapters only.

    Args:
        config: Of the model.
        sources: Length of each source of the batch.
        targets: Length of each label of the batch.
        adapted: Names of the layers with adapters, or `all-linear`.
        rank: Of the adapters.
    """
    forward = forward_flops(config, sources, targets, adapted, rank)
    unneeded = sum(
        2 * layer.size * layer.tokens
        for layer in linear_layers(config, sum(sources), sum(targets))
        if not layer.to_input
    )
    weights = forward_flops(config, sources, targets, adapted, rank) - forward_flops(config, sources, targets)
    return 2 * forward - unneeded + weights + attention_products(config, sources, targets)


def matrix_rate(size: int = 8192, repetitions: int = 20) -> float:
    """Operations a second of a bf16 product of two square matrices of random numbers, median, on the GPU if any."""
    on_gpu = torch.cuda.is_available()
    device = "cuda" if on_gpu else "cpu"
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for repetition in range(3 + repetitions):
        started = time.perf_counter()
        a @ b
        if on_gpu:
            torch.cuda.synchronize()
        if repetition >= 3:
            seconds.append(time.perf_counter() - started)
    return 2 * size**3 / median(seconds)


def _is_adapted(layer: Linear, adapted: Layers) -> bool:
    return adapted == "all-linear" or layer.name in adapted
