"""Compares an exported model with the one that was trained, on real texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from datamodules.tokenize import truncate_with_eos
from lightning_modules.generation import decode, generation_config
from lightning_modules.trained_model import TrainedModel


@dataclass(frozen=True)
class Verification:
    """How far an exported model is from the trained one.

    Attributes:
        texts: Texts compared.
        equal_inputs: Share of the texts that both tokenizers cut into the same pieces.
        greatest_logit_difference: Over all positions of the trained model's greedy outputs and all pieces.
        mean_logit_difference: The same, mean.
        logit_deviation: Standard deviation of the trained model's logits, to compare these with.
        equal_greedy_outputs: Share of the texts whose greedy summaries are equal, letter by letter.
    """

    texts: int
    equal_inputs: float
    greatest_logit_difference: float
    mean_logit_difference: float
    logit_deviation: float
    equal_greedy_outputs: float


@dataclass(frozen=True)
class Exported:
    """What other programs load from an exported folder.

    Attributes:
        model: By transformers or peft alone.
        tokenizer: By `AutoTokenizer`.
        generation: The folder's `generation_config.json`.
        kept: (K,) ids of the trained model's pieces in this one, None if they are the same.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    generation: GenerationConfig
    kept: torch.Tensor | None = None


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
    differences = torch.cat([row[0].flatten() for row in rows])
    logits = torch.cat([row[1].flatten() for row in rows])
    return Verification(
        texts=len(texts),
        equal_inputs=_share(row[2] for row in rows),
        greatest_logit_difference=float(differences.max()),
        mean_logit_difference=float(differences.mean()),
        logit_deviation=float(logits.std()),
        equal_greedy_outputs=_share(row[3] for row in rows),
    )


@torch.inference_mode()
def _compare(trained: TrainedModel, exported: Exported, text: str) -> tuple[torch.Tensor, torch.Tensor, bool, bool]:
    own, other = _trained_ids(trained, text), _exported_ids(exported, text, trained.max_source_tokens)
    settings = generation_config(trained.generation, trained.tokenizer, _rows(trained.model))
    summary = _greedy(trained.model, own, settings)
    other_summary = _greedy(exported.model, other, exported.generation)
    logits = trained.model(input_ids=own, decoder_input_ids=summary).logits.float()
    ids = summary if exported.kept is None else exported.kept[summary]
    source = own if exported.kept is None else exported.kept[own]
    others = exported.model(input_ids=source, decoder_input_ids=ids).logits.float()
    if exported.kept is not None:
        others = others[..., exported.kept]
    pieces = len(trained.tokenizer)  # the rows beyond stand for nothing
    logits, others = logits[..., :pieces], others[..., :pieces]
    same = decode(summary, trained.tokenizer) == decode(other_summary, exported.tokenizer)
    return (logits - others).abs(), logits, torch.equal(source, other), same


def _greedy(model: Any, ids: torch.Tensor, settings: GenerationConfig) -> torch.Tensor:
    greedy = GenerationConfig(**{**settings.to_diff_dict(), "num_beams": 1, "length_penalty": None})
    return model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy)


def _trained_ids(trained: TrainedModel, text: str) -> torch.Tensor:
    ids = trained.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return torch.tensor([truncate_with_eos(ids, trained.max_source_tokens, trained.tokenizer.eos_token_id)])


def _exported_ids(exported: Exported, text: str, limit: int) -> torch.Tensor:
    return exported.tokenizer(text, truncation=True, max_length=limit, return_tensors="pt").input_ids


def _rows(model: Any) -> int:
    return model.get_output_embeddings().weight.shape[0]


def _share(values: Iterable[bool]) -> float:
    found = list(values)
    return sum(found) / len(found)
