"""Beam search in tensors of fixed shape, equal to that of transformers 5.

Shapes: R rows, K beams of each row, N beams of any rows, L greatest number of tokens of a summary, V vocabulary rows.
"""

from __future__ import annotations

import torch
from transformers import GenerationConfig

from lightning_modules.search import Search

IMPOSSIBLE = -1e9  # a score; transformers' own, for equal arithmetic


class BeamSearch(Search):
    """K summaries of each row side by side, as transformers 5 searches with `early_stopping=False`.

    A row goes on until none of its running beams, at their present length, scores more than the worst of K ended ones.
    """

    def __init__(self, config: GenerationConfig, rows: int, device: torch.device) -> None:
        super().__init__(config, rows, device)
        shape = (rows, self.beams)
        self.scores = torch.empty(shape, device=device)
        self.slots = torch.arange(self.beams, device=device)
        self.ancestors = torch.empty(*shape, self.limit + 8, dtype=torch.int64, device=device)
        self.ended_history, self.ended_scores = torch.empty_like(self.history), torch.empty_like(self.scores)
        self.ended_lengths = torch.empty(shape, dtype=torch.int64, device=device)
        self.ended = torch.empty(shape, dtype=torch.bool, device=device)
        self.improvable = torch.empty(rows, 1, dtype=torch.bool, device=device)
        exponent = 1.0 if config.length_penalty is None else config.length_penalty
        lengths = [(step + 1) ** exponent for step in range(self.limit)]
        self.length_penalties = torch.tensor(lengths, dtype=torch.float32, device=device)

    def start(self, used: int) -> None:
        """Begins anew, with one beam: the others would be the same."""
        super().start(used)
        self.scores.fill_(IMPOSSIBLE)[:, 0] = 0.0
        self.ancestors.fill_(-1)
        self.ended_history.copy_(self.history)
        self.ended_scores.fill_(IMPOSSIBLE)
        self.ended_lengths.fill_(1)
        self.ended.fill_(False)
        self.improvable.fill_(False)[:used] = True

    def visible(self, position: torch.Tensor, positions: int) -> torch.Tensor:
        """A beam's ancestors; at `position` itself."""
        self.ancestors.index_copy_(2, position, self.slots.expand_as(self.scores)[:, :, None])
        return self.ancestors[:, :, :positions, None] == self.slots

    def continuations(
        self, logits: torch.Tensor, history: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """2 K of each beam, so that K go on even if K end. Forbidden tokens keep their share of the probability."""
        normalizer = logits.float().logsumexp(dim=1, keepdim=True)
        self.forbid(logits, history, position)
        best, tokens = logits.topk(2 * self.beams)
        return best.float() - normalizer, tokens

    def update(self, scores: torch.Tensor, tokens: torch.Tensor, position: torch.Tensor) -> None:
        """Chooses the beams that go on, and keeps the best that end."""
        rows, kept = len(self.history), 2 * self.beams
        totals = (scores.view(rows, self.beams, kept) + self.scores[:, :, None]).flatten(1)
        totals, chosen = totals.topk(kept)
        parents, tokens = chosen // kept, tokens.reshape(rows, -1).gather(1, chosen)
        history = _select(self.history, parents).index_copy(2, position + 1, tokens[:, :, None])
        ending = (tokens == self.eos_id) | (position == self.limit - 1)
        penalty = self.length_penalties.index_select(0, position)
        self._keep_ended(history, totals / penalty, ending, position)

        totals = totals + ending * IMPOSSIBLE
        going_on = totals.topk(self.beams).indices
        self.scores.copy_(totals.gather(1, going_on))
        self.history.copy_(_select(history, going_on))
        self.ancestors.copy_(_select(self.ancestors, parents.gather(1, going_on)))
        worst = torch.where(self.ended, self.ended_scores.amin(dim=1, keepdim=True), IMPOSSIBLE)
        self.improvable.logical_and_((self.scores[:, :1] / penalty > worst).any(dim=1, keepdim=True))

    def _keep_ended(
        self, history: torch.Tensor, scores: torch.Tensor, ending: torch.Tensor, position: torch.Tensor
    ) -> None:
        ending = ending.clone()
        ending[:, self.beams :] = False  # these are there to go on, not to end
        scores = scores + (~self.improvable) * IMPOSSIBLE + (~ending) * IMPOSSIBLE
        lengths = (position + 2).expand_as(ending)
        best = torch.cat([self.ended_scores, scores], dim=1).topk(self.beams).indices
        for kept, new in (
            (self.ended_history, history),
            (self.ended_scores, scores),
            (self.ended_lengths, lengths),
            (self.ended, ending),
        ):
            kept.copy_(_select(torch.cat([kept, new], dim=1), best))

    def over(self) -> torch.Tensor:
        """No row can improve."""
        return ~self.improvable.any()

    def result(self, rows: int) -> torch.Tensor:
        """The beam with the best score of each row."""
        return self.ended_history[:rows, 0, : int(self.ended_lengths[:rows, 0].max())]


def _select(tensor: torch.Tensor, beams: torch.Tensor) -> torch.Tensor:
    """(R, J, ...) from (R, K, ...) by (R, J) beam numbers."""
    index = beams.view(*beams.shape, *[1] * (tensor.dim() - 2))
    return tensor.take_along_dim(index, dim=1)
