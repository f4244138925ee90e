"""How a summary goes on: in tensors of fixed shape that never wait for the host, equal to transformers' `generate`.

Shapes: R rows, K beams of each row, C continuations of each beam, N beams of any rows, L greatest number of tokens of a
summary, V vocabulary rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from transformers import GenerationConfig


def ban_repeated_ngrams(logits: torch.Tensor, history: torch.Tensor, position: torch.Tensor, size: int) -> None:
    """Forbids the tokens that would complete an n-gram a second time.

    Args:
        logits: (N, V), changed in place.
        history: (N, L + 1) int64; what comes after `position` does not count. The decoder's start counts.
        position: (1,) int64, of the newest token in `history`.
        size: n, at least 1.
    """
    if history.shape[1] < size:
        return
    windows = history.unfold(1, size, 1)
    ends = torch.arange(size - 1, history.shape[1], device=history.device)
    newest = position + torch.arange(2 - size, 1, device=history.device)
    prefix = history.index_select(1, newest.clamp(min=0))  # before there are n tokens, no window has ended
    repeated = (windows[..., :-1] == prefix[:, None]).all(dim=-1) & (ends <= position)
    # The least of both: many windows may end in one token, and only some of them forbid it.
    limits = torch.where(repeated, -torch.inf, torch.inf).to(logits.dtype)
    logits.scatter_reduce_(1, windows[..., -1], limits, reduce="amin")


class Search(ABC):
    """What has been generated so far, and how it goes on.

    Args:
        config: The settings that `generate` would get; sampling is not supported.
        rows: R.
        device: Of all tensors.

    Attributes:
        history: (R, K, L + 1) int64 tokens, decoder start first.
        beams: K.
    """

    def __init__(self, config: GenerationConfig, rows: int, device: torch.device) -> None:
        self.beams, self.limit = config.num_beams or 1, config.max_new_tokens
        self.start_id, self.pad_id = config.decoder_start_token_id, config.pad_token_id
        self.eos_id = config.eos_token_id
        self.ngram_size = config.no_repeat_ngram_size or 0
        self.suppressed = torch.tensor(config.suppress_tokens or [], dtype=torch.int64, device=device)
        self.history = torch.empty(rows, self.beams, self.limit + 1, dtype=torch.int64, device=device)
        self.positions = torch.arange(self.limit + 8, device=device)

    def start(self, used: int) -> None:
        """Begins anew with `used` rows; the others count as ended."""
        self.history.fill_(self.pad_id)
        self.history[..., 0] = self.start_id

    def tokens(self, position: torch.Tensor) -> torch.Tensor:
        """(R, K) int64 tokens at a (1,) int64 position."""
        return self.history.index_select(2, position).squeeze(2)

    def forbid(self, logits: torch.Tensor, history: torch.Tensor, position: torch.Tensor) -> None:
        """Sets the (N, V) logits of tokens that must not follow the (N, L + 1) `history` to -inf, in place."""
        if self.ngram_size:
            ban_repeated_ngrams(logits, history, position, self.ngram_size)
        if len(self.suppressed):
            logits.index_fill_(1, self.suppressed, -torch.inf)

    @abstractmethod
    def visible(self, position: torch.Tensor, positions: int) -> torch.Tensor:
        """Whether beam k descends from beam j at each position up to the (1,) `position`.

        Returns:
            (R or 1, k, `positions`, j) bool.
        """

    @abstractmethod
    def continuations(
        self, logits: torch.Tensor, history: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The best next tokens of some beams.

        Args:
            logits: (N, V) of the head, changed in place.
            history: (N, L + 1) int64 of these beams.
            position: (1,) int64, of the newest token in `history`.

        Returns:
            (N, C) fp32 log-probabilities (greedy search: logits) and (N, C) int64 tokens.
        """

    @abstractmethod
    def update(self, scores: torch.Tensor, tokens: torch.Tensor, position: torch.Tensor) -> None:
        """Takes the (R * K, C) continuations of all beams, which stand at the (1,) position after `position`."""

    @abstractmethod
    def over(self) -> torch.Tensor:
        """() bool: whether no further step can change the result."""

    @abstractmethod
    def result(self, rows: int) -> torch.Tensor:
        """(`rows`, length of the longest) int64: the best summaries of the first rows, padded after `</s>`."""


class GreedySearch(Search):
    """The likeliest token, step by step."""

    def __init__(self, config: GenerationConfig, rows: int, device: torch.device) -> None:
        super().__init__(config, rows, device)
        self.ended = torch.empty(rows, dtype=torch.bool, device=device)
        self.lengths = torch.empty(rows, dtype=torch.int64, device=device)

    def start(self, used: int) -> None:
        """Begins anew."""
        super().start(used)
        self.ended.fill_(True)[:used] = False
        self.lengths.fill_(1)

    def visible(self, position: torch.Tensor, positions: int) -> torch.Tensor:
        """The past."""
        return (self.positions[:positions] <= position).view(1, 1, -1, 1)

    def continuations(
        self, logits: torch.Tensor, history: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One a row."""
        self.forbid(logits, history, position)
        tokens = logits.argmax(dim=1, keepdim=True)
        return logits.gather(1, tokens).float(), tokens

    def update(self, scores: torch.Tensor, tokens: torch.Tensor, position: torch.Tensor) -> None:
        """Appends it; padding where a row has ended."""
        tokens = tokens[:, 0].masked_fill(self.ended, self.pad_id)
        self.history.index_copy_(2, position + 1, tokens[:, None, None])
        self.lengths.copy_(torch.where(self.ended, self.lengths, position + 2))
        self.ended.logical_or_(tokens == self.eos_id)

    def over(self) -> torch.Tensor:
        """All rows have ended."""
        return self.ended.all()

    def result(self, rows: int) -> torch.Tensor:
        """The only ones."""
        return self.history[:rows, 0, : int(self.lengths[:rows].max())]
