"""From encoded articles to summaries in words: what a kind of model must be able to do to serve `summarize.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from lightning_modules.generation import decode, ended, generation_config
from lightning_modules.summarizer import Summarizer
from lightning_modules.trained_model import TrainedModel


@dataclass(frozen=True)
class GeneratedText:
    """One generated summary.

    Attributes:
        text: Without padding and `</s>`.
        ended: Whether the model ended it by `</s>` rather than at the length limit.
    """

    text: str
    ended: bool


class TextGenerator(Protocol):
    """Summarises a batch of encoded articles; another format of models is another such function."""

    def __call__(self, encoded: Sequence[Sequence[int]]) -> list[GeneratedText]:
        """One summary for each article.

        Args:
            encoded: Token ids of each article, each ending in `</s>`.
        """


class TorchGenerator:
    """Generates by the project's own decoder, or by the model's `generate` where it is no PyTorch model (CTranslate2).

    Args:
        trained: The model, and how it generates.

    Raises:
        ValueError: If the tokenizer has ids that the model has no rows for.
    """

    def __init__(self, trained: TrainedModel) -> None:
        settings = trained.generation
        rows = trained.model.get_output_embeddings().weight.shape[0]
        if len(trained.tokenizer) > rows:
            raise ValueError(
                f"The tokenizer has {len(trained.tokenizer)} pieces, but the model's vocabulary only {rows} rows: they "
                "do not belong together. Use the tokenizer's files of the run, or its kept vocabulary."
            )
        self.tokenizer = trained.tokenizer
        config = generation_config(settings, trained.tokenizer, rows)
        self.summarizer = Summarizer(trained.model, config, settings.fast, settings.dequantize)
        self.device = trained.model.device

    def __call__(self, encoded: Sequence[Sequence[int]]) -> list[GeneratedText]:
        """See `TextGenerator`."""
        width = max(len(ids) for ids in encoded)
        ids = torch.full((len(encoded), width), self.tokenizer.pad_token_id, dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(encoded):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        generated = self.summarizer.generate(ids.to(self.device), mask.to(self.device))
        texts, ends = decode(generated, self.tokenizer), ended(generated, self.tokenizer.eos_token_id)
        return [GeneratedText(text, end) for text, end in zip(texts, ends, strict=True)]
