"""Summarises a stream of articles: language, encoding, batches by length, warnings; results in input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import torch
import xxhash

from datamodules.articles import Article
from datamodules.chunks import EncodedArticle, LongArticles, encode_article
from lightning_modules.text_generation import GeneratedText, TextGenerator, TorchGenerator
from lightning_modules.trained_model import TrainedModel
from metrics.language_identification import identify_language
from metrics.summary_warnings import summary_warnings
from metrics.words import base_code

# Batches that are sorted by length together: the more, the less padding, and the later the first summary comes.
BATCHES_SORTED = 4
_VALUES_NAMED = 64


@dataclass(frozen=True)
class ArticleSummary:
    """What became of one article.

    Attributes:
        id: The article's.
        article_hash: See `article_hash`.
        language: Given or identified; None if neither.
        summary: In one line; None if the article could not be summarised.
        tokens: Length of the article in tokens, prefix and `</s>` included.
        truncated: Whether the end of the article was not read.
        chunks: Inputs that the article was read in.
        warnings: Keys of `summary_warnings.WARNINGS`.
        problem: Why there is no summary, a key of `articles.PROBLEMS`.
        detail: More about the problem.
    """

    id: str
    article_hash: str
    language: str | None = None
    summary: str | None = None
    tokens: int = 0
    truncated: bool = False
    chunks: int = 0
    warnings: list[str] = field(default_factory=list)
    problem: str = ""
    detail: str = ""


def article_hash(article: Article) -> str:
    """Names the text and the given language of an article, so that a changed one is known; 16 hexadecimal digits."""
    return xxhash.xxh64_hexdigest(f"{article.language or ''}\0{article.text}".encode())


class ArticleSummarizer:
    """Summarises articles.

    Args:
        trained: The model, its tokenizer and how articles were encoded in training.
        generate: How encoded articles become summaries; by PyTorch if None.
        long: What happens to an article longer than the model's input, see `encode_article`. The summaries of the
            chunks of one article are joined in order.
        batch_size: Inputs that are generated at once; at least 1.

    Raises:
        ValueError: If `batch_size` is below 1.
    """

    def __init__(
        self,
        trained: TrainedModel,
        generate: TextGenerator | None = None,
        long: LongArticles = "truncate",
        batch_size: int = 16,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"--batch-size {batch_size} must be at least 1.")
        self.trained, self.long, self.batch_size = trained, long, batch_size
        self.generate = generate or TorchGenerator(trained)

    def summarize(self, articles: Iterable[Article]) -> Iterator[ArticleSummary]:
        """Yields one result for each article, in order; those of unusable ones have no summary."""
        stream = iter(articles)
        while window := list(islice(stream, self.batch_size * BATCHES_SORTED)):
            usable = [article for article in window if not article.problem]
            languages = [self.language_of(article) for article in usable]
            encoded = [self._encode(*pair) for pair in zip(usable, languages, strict=True)]
            texts = self._generate_by_length([chunk for article in encoded for chunk in article.chunks])
            results = map(self._result, usable, languages, encoded, _grouped(texts, encoded))
            for article in window:
                yield _unusable(article) if article.problem else next(results)

    def language_of(self, article: Article) -> str | None:
        """The article's own, else the likeliest."""
        return article.language or identify_language(article.text, self.trained.languages)

    @cached_property
    def settings(self) -> str:
        """Names everything that a summary depends on beside its article; 16 hexadecimal digits."""
        trained, digest = self.trained, xxhash.xxh64()
        encoding = (trained.source_prefix, trained.prefixes, trained.max_source_tokens)
        digest.update(repr((trained.generation, encoding, self.long)).encode())
        for tensor in trained.model.state_dict().values():  # a few values of each tell models and trainings apart
            values = tensor.detach().flatten()[:_VALUES_NAMED].to("cpu", torch.bfloat16)
            digest.update(values.view(torch.int16).numpy().tobytes())
        return digest.hexdigest()

    def _encode(self, article: Article, language: str | None) -> EncodedArticle:
        prefix = self.trained.prefixes.get(language or "", self.trained.source_prefix)
        return encode_article(article.text, self.trained.tokenizer, prefix, self.trained.max_source_tokens, self.long)

    def _generate_by_length(self, inputs: Sequence[list[int]]) -> list[GeneratedText]:
        texts: dict[int, GeneratedText] = {}
        # Longest first, so that a batch that does not fit into memory fails at once.
        order = sorted(range(len(inputs)), key=lambda index: -len(inputs[index]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            texts |= zip(batch, self.generate([inputs[index] for index in batch]), strict=True)
        return [texts[index] for index in range(len(inputs))]

    def _result(
        self, article: Article, language: str | None, encoded: EncodedArticle, texts: list[GeneratedText]
    ) -> ArticleSummary:
        summary = " ".join(" ".join(text.text for text in texts).split())
        warnings = summary_warnings(article.text, summary, language, all(text.ended for text in texts))
        known = {base_code(code) for code in self.trained.languages}
        if known and language and base_code(language) not in known:
            warnings.append("untrained_language")
        return ArticleSummary(
            article.id,
            article_hash(article),
            language,
            summary,
            encoded.tokens,
            encoded.truncated,
            len(encoded.chunks),
            warnings,
        )


def _unusable(article: Article) -> ArticleSummary:
    return ArticleSummary(article.id, article_hash(article), problem=article.problem, detail=article.detail)


def _grouped(texts: Sequence[GeneratedText], encoded: Iterable[EncodedArticle]) -> Iterator[list[GeneratedText]]:
    """The texts of each article's chunks."""
    stream = iter(texts)
    return (list(islice(stream, len(article.chunks))) for article in encoded)
