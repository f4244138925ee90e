"""Collects losses and summaries over an evaluation, from all devices, and scores each summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field

import torch
import torch.distributed

from metrics.collapse import collapse
from metrics.invented_words import invented_share
from metrics.known_words import shipped_words
from metrics.lead import lead_sentences, lead_words, mean_word_count
from metrics.novelty import novelty
from metrics.rouge import RougeTokenizer, rouge

LEAD_SENTENCES = (1, 2, 3)


@dataclass(frozen=True)
class Scoring:
    """How summaries are scored.

    Args:
        rouge_tokenizer: What ROUGE takes for words: `unicode` for any language, `rouge155` (a-z and digits only) and
            `xlsum` for comparison with published numbers; docs/rouge.md says which.
        stemming: Whether ROUGE compares stems, where the language has a stemmer.
    """

    rouge_tokenizer: RougeTokenizer = "unicode"
    stemming: bool = False


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
        loss: Sum of the losses of the reference's tokens, in nats; 0 in `predict`.
        label_tokens: Number of these tokens; 0 in `predict`.
        scores: Every figure of this summary by name, filled by `Evaluation.score`.
    """

    id: str
    language: str
    article: str
    reference: str
    prediction: str
    ended: bool
    starts_with_sentinel: bool
    loss: float = 0.0
    label_tokens: int = 0
    scores: dict[str, float] = field(default_factory=dict)


@dataclass
class Evaluation:
    """What one pass over a split has gathered so far.

    Attributes:
        summaries: All summaries, in order of evaluation.
    """

    summaries: list[EvaluatedSummary] = field(default_factory=list)

    def add(self, summaries: Sequence[EvaluatedSummary], losses: torch.Tensor, counted: torch.Tensor) -> None:
        """Adds a batch.

        Args:
            summaries: B summaries.
            losses: (B, T) fp32 token losses, 0 where ignored.
            counted: (B, T) bool, which labels count.
        """
        sums, counts = losses.sum(dim=1).tolist(), counted.sum(dim=1).tolist()
        for summary, loss, tokens in zip(summaries, sums, counts, strict=True):
            summary.loss, summary.label_tokens = loss, tokens
        self.summaries += summaries

    def gathered(self) -> Evaluation:
        """The same over all devices."""
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self
        parts: list[Evaluation] = [Evaluation()] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(parts, self)
        return Evaluation([summary for part in parts for summary in part.summaries])

    def by_language(self) -> dict[str, list[EvaluatedSummary]]:
        """The summaries of each language, in alphabetical order of the codes."""
        languages = sorted({summary.language for summary in self.summaries})
        return {code: [one for one in self.summaries if one.language == code] for code in languages}

    def score(
        self, scoring: Scoring, whole: bool = False, known_words: Callable[[str], Set[str]] = shipped_words
    ) -> None:
        """Fills `scores` of every summary: docs/dashboard.md explains each name.

        Args:
            scoring: How.
            whole: Also score the articles' first sentences, and measure how much of a summary is new.
            known_words: The known words of a language, by its code; see `invented_share`.
        """
        for language, summaries in self.by_language().items():
            texts = [one.article for one in summaries], [one.prediction for one in summaries]
            scores = _scores(summaries, language, scoring, whole)
            scores |= invented_share(*texts, language, known_words(language))
            for name, values in scores.items():
                for summary, value in zip(summaries, values, strict=True):
                    summary.scores[name] = value

    def metrics(self) -> dict[str, float]:
        """Means of all scores, and the loss in nats a token.

        Returns:
            By `name/language`, and by `name` the plain mean over languages: each language counts the same.
        """
        found: dict[str, dict[str, float]] = {}
        for language, summaries in self.by_language().items():
            tokens = sum(summary.label_tokens for summary in summaries)
            means = {"loss": sum(summary.loss for summary in summaries) / tokens} if tokens else {}
            means |= {name: _mean([one.scores[name] for one in summaries]) for name in summaries[0].scores}
            for name, value in means.items():
                found.setdefault(name, {})[language] = value
        by_language = {f"{name}/{code}": value for name, values in found.items() for code, value in values.items()}
        return by_language | {name: _mean(list(values.values())) for name, values in found.items()}


def _scores(
    summaries: Sequence[EvaluatedSummary], language: str, scoring: Scoring, whole: bool
) -> dict[str, list[float]]:
    articles = [summary.article for summary in summaries]
    references = [summary.reference for summary in summaries]
    predictions = [summary.prediction for summary in summaries]

    def score(texts: Sequence[str], prefix: str = "") -> dict[str, list[float]]:
        found = rouge(texts, references, language, scoring.rouge_tokenizer, scoring.stemming)
        return {prefix + key: values for key, values in found.items()}

    scores = score(predictions)
    scores |= score(lead_words(articles, mean_word_count(references)), "lead_")
    scores["ended"] = [float(summary.ended) for summary in summaries]
    scores["sentinel_start"] = [float(summary.starts_with_sentinel) for summary in summaries]
    scores |= collapse(articles, references, predictions, language)
    if whole:
        for count in LEAD_SENTENCES:
            scores |= score(lead_sentences(articles, count), f"lead{count}_")
        scores |= novelty(articles, predictions, language)
    return scores


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
