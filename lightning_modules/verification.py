"""Compares an exported model with the one that was trained, on real texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from datamodules.chunks import encode_article
from lightning_modules.generation import decode, generation_config
from lightning_modules.trained_model import TrainedModel


@dataclass(frozen=True)
class Verification:
    """How far an exported model is from the trained one.

    Attributes:
        texts: Texts compared.
        equal_inputs: Share of the texts that both tokenizers cut into the same pieces.
        equal_greedy_outputs: Share of the texts whose greedy summaries are equal, letter by letter.
        greatest_logit_difference: Over all positions of the trained model's greedy outputs and all pieces;
            None, as the next two, where the exported format has no logits to look at.
        mean_logit_difference: The same, mean.
        logit_deviation: Standard deviation of the trained model's logits, to compare these with.
    """

    texts: int
    equal_inputs: float
    equal_greedy_outputs: float
    greatest_logit_difference: float | None = None
    mean_logit_difference: float | None = None
    logit_deviation: float | None = None

    def __str__(self) -> str:
        text = (
            f"Compared with the trained model on {self.texts} texts: greedy summaries equal "
            f"{self.equal_greedy_outputs:.1%}"
        )
        if self.greatest_logit_difference is None:
            return f"{text}."
        return (
            f"{text}, logits differ by at most {self.greatest_logit_difference:.2g} (their standard deviation is "
            f"{self.logit_deviation:.2g})."
        )


@dataclass(frozen=True)
class Exported:
    """What other programs load from an exported folder.

    Attributes:
        model: By transformers or peft alone; or a `CTranslate2Model`.
        tokenizer: By `AutoTokenizer`.
        generation: The folder's `generation_config.json`.
        kept: (K,) ids of the trained model's pieces in this one, None if they are the same.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    generation: GenerationConfig
    kept: torch.Tensor | None = None

    def ids(self, trained: torch.Tensor) -> torch.Tensor:
        """The ids that pieces of the trained model have here."""
        return trained if self.kept is None else self.kept[trained]


def verify(trained: TrainedModel, exported: Exported, texts: Sequence[str]) -> Verification:
    """Compares logits and greedy outputs, one text at a time.

    Args:
        trained: As it was in training.
        exported: As others load it.
        texts: Articles, their prefix included.

    Raises:
        ValueError: If there is no text.
    """
    if not texts:
        raise ValueError("There is no text to compare the exported model on; give some with --texts FILE.")
    rows = [_compare(trained, exported, text) for text in texts]
    found: dict[str, Any] = {
        "texts": len(texts),
        "equal_inputs": sum(row.equal_input for row in rows) / len(rows),
        "equal_greedy_outputs": sum(row.equal_output for row in rows) / len(rows),
    }
    if isinstance(exported.model, (PreTrainedModel, PeftModel)):
        pairs = [_logits(trained, exported, row) for row in rows]
        differences = torch.cat([(own - other).abs().flatten() for own, other in pairs])
        found |= {
            "greatest_logit_difference": float(differences.max()),
            "mean_logit_difference": float(differences.mean()),
            "logit_deviation": float(torch.cat([own.flatten() for own, _ in pairs]).std()),
        }
    return Verification(**found)


@dataclass(frozen=True)
class _Row:
    source: torch.Tensor
    summary: torch.Tensor
    equal_input: bool
    equal_output: bool


@torch.inference_mode()
def _compare(trained: TrainedModel, exported: Exported, text: str) -> _Row:
    own, other = _trained_ids(trained, text), _exported_ids(exported, text, trained.max_source_tokens)
    settings = generation_config(trained.generation, trained.tokenizer, _rows(trained.model))
    summary = _greedy(trained.model, own, settings)
    other_summary = _greedy(exported.model, other, exported.generation)
    same = decode(summary, trained.tokenizer) == decode(other_summary, exported.tokenizer)
    return _Row(own, summary, torch.equal(exported.ids(own), other), same)


@torch.inference_mode()
def _logits(trained: TrainedModel, exported: Exported, row: _Row) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, T, pieces) logits of both models for the trained one's summary."""
    pieces = torch.arange(len(trained.tokenizer))  # the rows beyond stand for nothing
    own = trained.model(input_ids=row.source, decoder_input_ids=row.summary).logits
    source, summary = exported.ids(row.source), exported.ids(row.summary)
    other = exported.model(input_ids=source, decoder_input_ids=summary).logits
    return own[..., pieces].float(), other[..., exported.ids(pieces)].float()


def _greedy(model: Any, ids: torch.Tensor, settings: GenerationConfig) -> torch.Tensor:
    greedy = GenerationConfig(**{**settings.to_diff_dict(), "num_beams": 1, "length_penalty": None})
    return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy)


def _trained_ids(trained: TrainedModel, text: str) -> torch.Tensor:
    return torch.tensor(encode_article(text, trained.tokenizer, "", trained.max_source_tokens, "truncate").chunks)


def _exported_ids(exported: Exported, text: str, limit: int) -> torch.Tensor:
    return exported.tokenizer(text, truncation=True, max_length=limit, return_tensors="pt").input_ids


def _rows(model: Any) -> int:
    return model.get_output_embeddings().weight.shape[0]
