"""Span corruption, the task that mT5 is pretrained on: spans of a text are replaced by sentinels, and are the target.

Source: Raffel et al. 2020 (T5), section 3.1.4 and figure 2; the lengths and the random spans are those of T5's code,
`t5.data.preprocessors.random_spans_helper` and `random_spans_noise_mask`.

Shapes: B blocks, L raw tokens, N noise tokens, K spans; S = L - N + K + 1 inputs, T = N + K + 1 targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class BlockLengths:
    """Lengths of a block, the same for all blocks: nothing is ever padded.

    Attributes:
        raw: L, tokens of the text.
        noise: N, tokens of it that are masked.
        spans: K, spans that they form; each is followed by text, or ends the block.
    """

    raw: int
    noise: int
    spans: int

    @property
    def inputs(self) -> int:
        """S: what is not masked, a sentinel for each span, and `</s>`."""
        return self.raw - self.noise + self.spans + 1

    @property
    def targets(self) -> int:
        """T: each span after its sentinel, and `</s>`."""
        return self.noise + self.spans + 1


def block_lengths(input_tokens: int, density: float, mean_span: float) -> BlockLengths:
    """The longest text whose corrupted inputs are as long as wished.

    Args:
        input_tokens: S; at least 8.
        density: Share of the tokens that are masked, in (0, 0.5].
        mean_span: Mean tokens of a span, at least 1.

    Returns:
        The lengths; for 512 inputs at density 0.15 and mean span 3, those of T5: 568 raw tokens and 114 targets.

    Raises:
        ValueError: If a number is out of range.
    """
    if input_tokens < 8:
        raise ValueError(f"data.input_tokens {input_tokens} must be at least 8; mT5 has 1024, T5 512.")
    if not 0 < density <= 0.5:
        raise ValueError(f"data.density {density} must be above 0 and at most 0.5; T5 has 0.15.")
    if not mean_span >= 1:
        raise ValueError(f"data.mean_span {mean_span} must be at least 1; T5 has 3.")
    # One more raw token makes the inputs one longer, or leaves them: the wished length is never jumped over.
    raw = 2
    while _lengths(raw + 1, density, mean_span).inputs <= input_tokens:
        raw += 1
    return _lengths(raw, density, mean_span)


def random_spans(draws: np.ndarray, lengths: BlockLengths) -> np.ndarray:
    """Chooses the spans: text and noise, each cut into K parts at random, take turns, text first.

    Args:
        draws: (B, L - 2) floating point, independent and uniform: they decide where text and noise are cut.
        lengths: Of the blocks.

    Returns:
        (B, L) bool, where noise is.
    """
    text = lengths.raw - lengths.noise
    parts = np.empty((len(draws), 2 * lengths.spans), dtype=np.int64)
    parts[:, 0::2] = _random_parts(draws[:, : text - 1], lengths.spans)
    parts[:, 1::2] = _random_parts(draws[:, text - 1 :], lengths.spans)
    begins = np.zeros((len(draws), lengths.raw), dtype=np.int8)
    np.put_along_axis(begins, parts.cumsum(axis=1)[:, :-1], 1, axis=1)
    return begins.cumsum(axis=1, dtype=np.int32) % 2 == 1


def corrupt(tokens: np.ndarray, noise: np.ndarray, sentinels: np.ndarray, eos_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes inputs and targets of blocks.

    Args:
        tokens: (B, L) token ids.
        noise: (B, L) bool, as many true in each row, in as many spans; from `random_spans`.
        sentinels: (K or more,) ids of `<extra_id_0>`, `<extra_id_1>`, ...
        eos_id: Id of `</s>`.

    Returns:
        (B, S) and (B, T) int64.

    Example:
        "Thank you for inviting me to your party last week", with noise at "for inviting" and "last week", has the
        inputs `Thank you <extra_id_0> me to your party <extra_id_1> </s>` and the targets
        `<extra_id_0> for inviting <extra_id_1> last week </s>`.
    """
    return _mask(tokens, noise, sentinels, eos_id), _mask(tokens, ~noise, sentinels, eos_id)


def _lengths(raw: int, density: float, mean_span: float) -> BlockLengths:
    noise = min(max(round(raw * density), 1), raw - 1)
    return BlockLengths(raw, noise, min(max(round(noise / mean_span), 1), raw - noise))


def _random_parts(draws: np.ndarray, count: int) -> np.ndarray:
    """(B, count) int64 lengths of at least 1, all ways to cut being equally likely; (B, length - 1) draws."""
    length = draws.shape[1] + 1
    cuts = np.sort(np.argpartition(draws, count - 2, axis=1)[:, : count - 1], axis=1) + 1 if count > 1 else draws[:, :0]
    bounds = np.pad(cuts.astype(np.int64), ((0, 0), (1, 1)), constant_values=((0, 0), (0, length)))
    return np.diff(bounds, axis=1)


def _mask(tokens: np.ndarray, masked: np.ndarray, sentinels: np.ndarray, eos_id: int) -> np.ndarray:
    """Puts one sentinel, in their order, in the place of each masked span, and `</s>` at the end."""
    begins = masked.copy()
    begins[:, 1:] &= ~masked[:, :-1]
    # Boolean indexing goes row by row, and all rows keep as many.
    numbers = begins.cumsum(axis=1, dtype=np.int32) - 1
    replaced = np.where(begins, sentinels[numbers], tokens)[begins | ~masked].reshape(len(tokens), -1)
    return np.pad(replaced.astype(np.int64), ((0, 0), (0, 1)), constant_values=eos_id)
