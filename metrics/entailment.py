"""Whether an article entails its summary, to a model of natural language inference: SummaC's zero-shot score.

Laban et al. 2022 (arXiv:2111.09525), section 4.1: a summary's sentence is as faithful as the sentence of the source
that entails it best, a summary as faithful as its sentences on average. The model decides what the score is worth: one
that was not trained on a language says nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from metrics.pretrained import load_pretrained
from metrics.sentences import sentences
from metrics.words import base_code, without_sentinels


@dataclass(frozen=True)
class EntailmentModel:
    """The model that judges.

    Args:
        model: Hub id or folder of a sequence classifier trained on natural language inference, such as
            `MoritzLaurer/mDeBERTa-v3-base-mnli-xnli`.
        languages: Codes of the languages that it was trained on; others are refused. There is no default, since no
            model's files say it reliably.
        label: Its label for entailment; null takes the one whose name contains "entail" without a negation.
        download: Whether it may be fetched from the hub; else only what lies on this machine is used.
        max_tokens: Longer pairs are cut; a lower limit of the model itself wins. At least 8.

    Raises:
        ValueError: If `languages` is empty or a number out of range.
    """

    model: str
    languages: tuple[str, ...]
    label: str | None = None
    download: bool = False
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if not self.languages:
            raise ValueError(
                f"Name the languages that {self.model!r} was trained on: elsewhere its scores mean nothing."
            )
        if self.max_tokens < 8:
            raise ValueError(f"The entailment model's max_tokens {self.max_tokens} must be at least 8.")


class EntailmentScorer:
    """Scores summaries on the CPU.

    Args:
        settings: The model.
        batch_size: Pairs of sentences judged at once; at least 1.
        chunk_sentences: Sentences of the article that make one premise; 1 is SummaC's finest grain.

    Raises:
        ValueError: If a number is out of range, or the model names no label for entailment.
        OSError: If there is no such model on this machine (or, with `download`, on the hub).
    """

    def __init__(self, settings: EntailmentModel, batch_size: int = 32, chunk_sentences: int = 1) -> None:
        for name, value in (("batch_size", batch_size), ("chunk_sentences", chunk_sentences)):
            if value < 1:
                raise ValueError(f"The entailment scorer's {name} {value} must be at least 1.")
        self.settings, self.batch_size, self.chunk_sentences = settings, batch_size, chunk_sentences
        local = {"local_files_only": not settings.download}
        try:
            config = load_pretrained(AutoConfig, settings.model, **local)
            self._label = _entailment_label(config.id2label, settings)
            self._tokenizer = load_pretrained(AutoTokenizer, settings.model, **local)
            loaded = load_pretrained(AutoModelForSequenceClassification, settings.model, dtype=torch.float32, **local)
        except OSError as error:
            hint = "" if settings.download else " on this machine; let it be downloaded, or give its folder"
            raise OSError(f"There is no entailment model {settings.model!r}{hint}: {error}") from error
        self._model = loaded.eval()
        self._limit = _limit(config, settings.max_tokens)

    def score(self, articles: Sequence[str], summaries: Sequence[str], language: str) -> list[float]:
        """The mean over a summary's sentences of the greatest probability with which a part of the article entails it.

        Args:
            articles: Source texts.
            summaries: One for each.
            language: Their language.

        Returns:
            One number in [0, 1] for each summary; 0 for an empty summary or article.

        Raises:
            ValueError: If the model does not know the language or the numbers of texts differ.
        """
        if base_code(language) not in {base_code(code) for code in self.settings.languages}:
            known = ", ".join(self.settings.languages)
            raise ValueError(
                f"{self.settings.model!r} is for {known}, not {language!r}: its scores would mean nothing."
            )
        if len(articles) != len(summaries):
            raise ValueError(f"Entailment got {len(articles)} articles and {len(summaries)} summaries.")
        return [self._one(article, summary) for article, summary in zip(articles, summaries, strict=True)]

    def _one(self, article: str, summary: str) -> float:
        premises, claims = list(self._chunks(article)), sentences(without_sentinels(summary))
        if not premises or not claims:
            return 0.0
        pairs = [(premise, claim) for claim in claims for premise in premises]
        batches = [pairs[start : start + self.batch_size] for start in range(0, len(pairs), self.batch_size)]
        probabilities = torch.cat([self._probabilities(batch) for batch in batches])
        return float(probabilities.view(len(claims), len(premises)).amax(dim=1).mean())

    def _chunks(self, article: str) -> Iterator[str]:
        parts = sentences(article)
        for start in range(0, len(parts), self.chunk_sentences):
            yield " ".join(parts[start : start + self.chunk_sentences])

    @torch.inference_mode()
    def _probabilities(self, pairs: Sequence[tuple[str, str]]) -> torch.Tensor:
        """Of entailment, (B,)."""
        premises, claims = map(list, zip(*pairs, strict=True))
        encoded = self._tokenizer(
            premises, claims, padding=True, truncation=True, max_length=self._limit, return_tensors="pt"
        )
        return self._model(**encoded).logits.softmax(dim=-1)[:, self._label]


def _entailment_label(labels: dict[int, str], settings: EntailmentModel) -> int:
    if settings.label is not None:
        found = [index for index, name in labels.items() if name == settings.label]
    else:
        found = [index for index, name in labels.items() if "entail" in name.lower() and "not" not in name.lower()]
    if len(found) != 1:
        raise ValueError(
            f"{settings.model!r} has the labels {', '.join(labels.values())}, and which one means entailment is not "
            "plain; give its name as label, or a model that was trained on inference."
        )
    return int(found[0])


def _limit(config: Any, wanted: int) -> int:
    """Tokens of a pair; RoBERTa's positions begin at 2."""
    positions = getattr(config, "max_position_embeddings", None) or wanted + 2
    return min(wanted, positions - 2 if config.model_type in ("roberta", "xlm-roberta") else positions)
