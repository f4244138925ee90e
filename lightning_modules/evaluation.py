"""Collects losses and summaries over an evaluation, from all devices, and turns them into metrics by language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed

from metrics.lead import lead_words, mean_word_count
from metrics.rouge import rouge


@dataclass  # not frozen: Lightning moves predictions to the CPU, which rebuilds them field by field
class EvaluatedSummary:
    """One generated summary beside what it is judged by.

    Attributes:
        id: The row's name.
        language: Its language code.
        article: Source text.
        reference: Reference summary.
        prediction: Generated summary.
        ended: Whether it ended by `</s>` rather than by the length limit.
        starts_with_sentinel: Whether its first token was an `<extra_id_N>`.
    """

    id: str
    language: str
    article: str
    reference: str
    prediction: str
    ended: bool
    starts_with_sentinel: bool


@dataclass
class Evaluation:
    """What one pass over a split has gathered so far.

    Attributes:
        summaries: All summaries, in order of evaluation.
        loss_sums: Sum of the token losses by language, in nats.
        token_counts: Number of label tokens by language.
    """

    summaries: list[EvaluatedSummary] = field(default_factory=list)
    loss_sums: dict[str, float] = field(default_factory=dict)
    token_counts: dict[str, int] = field(default_factory=dict)

    def add_losses(self, losses: torch.Tensor, counted: torch.Tensor, languages: Sequence[str]) -> None:
        """Adds a batch.

        Args:
            losses: (B, T) fp32 token losses, 0 where ignored.
            counted: (B, T) bool, which labels count.
            languages: B language codes.
        """
        sums, counts = losses.sum(dim=1).tolist(), counted.sum(dim=1).tolist()
        for language, total, count in zip(languages, sums, counts, strict=True):
            self.loss_sums[language] = self.loss_sums.get(language, 0.0) + total
            self.token_counts[language] = self.token_counts.get(language, 0) + count

    def gathered(self) -> Evaluation:
        """The same over all devices."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self
        parts: list[Evaluation] = [Evaluation()] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self)
        merged = Evaluation()
        for part in parts:
            merged.summaries += part.summaries
            for language, total in part.loss_sums.items():
                merged.loss_sums[language] = merged.loss_sums.get(language, 0.0) + total
                merged.token_counts[language] = merged.token_counts.get(language, 0) + part.token_counts[language]
        return merged

    def metrics(self, lead: bool = False) -> dict[str, float]:
        """Losses in nats a token, ROUGE in [0, 100], shares in [0, 1].

        Args:
            lead: Also score the first words of each article, as many as the mean reference has.

        Returns:
            By `metric/language`, and by `metric` the plain mean over languages: each language counts the same.
        """
        by_language = {
            f"loss/{language}": self.loss_sums[language] / max(self.token_counts[language], 1)
            for language in sorted(self.loss_sums)
        }
        for language in sorted({summary.language for summary in self.summaries}):
            chosen = [summary for summary in self.summaries if summary.language == language]
            by_language |= {f"{name}/{language}": value for name, value in _scores(chosen, language, lead).items()}
        names = dict.fromkeys(key.split("/")[0] for key in by_language)
        means = {
            name: _mean([value for key, value in by_language.items() if key.split("/")[0] == name]) for name in names
        }
        return by_language | means


def _scores(summaries: Sequence[EvaluatedSummary], language: str, lead: bool) -> dict[str, float]:
    references = [summary.reference for summary in summaries]
    scores = rouge([summary.prediction for summary in summaries], references, language)
    scores["ended"] = _mean([float(summary.ended) for summary in summaries])
    scores["sentinel_start"] = _mean([float(summary.starts_with_sentinel) for summary in summaries])
    if lead:
        first = lead_words([summary.article for summary in summaries], mean_word_count(references))
        scores |= {f"lead_{key}": value for key, value in rouge(first, references, language).items()}
    return scores


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
