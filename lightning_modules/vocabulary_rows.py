"""Leaves a model only some rows of its embeddings and head, and puts them back.

Shapes: K kept rows of the V of the base.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel


def trim_model(model: PreTrainedModel, kept: torch.Tensor) -> None:
    """Leaves embeddings and head only the rows of kept pieces; in place.

    Logits of kept pieces stay what they were. transformers' own resizing would overwrite mT5's head.

    Args:
        model: From `load_base`, with embeddings and head in floating point.
        kept: (K,) int64 ids, ascending; the piece at place i gets id i.

    Raises:
        ValueError: If the model has no row for a kept piece.
    """
    rows = model.get_output_embeddings().weight.shape[0]
    if int(kept[-1]) >= rows:
        raise ValueError(
            f"The tokenizer has a piece {int(kept[-1])}, but the model only {rows} rows. Use the tokenizer that "
            "belongs to the model (leave data.tokenizer out)."
        )
    for weight in _vocabulary_weights(model):
        _replace(model, weight, weight.detach()[kept.to(weight.device)])


def expand_model(model: PreTrainedModel, base: PreTrainedModel, kept: torch.Tensor) -> None:
    """Gives a trimmed model its base's vocabulary back; in place. Rows of kept pieces stay as trained.

    Args:
        model: Trimmed by `trim_model`.
        base: The model before that.
        kept: (K,) int64 ids of the kept pieces in the base.

    Raises:
        ValueError: If the model has not K rows.
    """
    for weight, original in zip(_vocabulary_weights(model), _vocabulary_weights(base), strict=True):
        if len(weight) != len(kept):
            raise ValueError(f"The trimmed model has {len(weight)} rows, but {len(kept)} kept pieces are recorded.")
        rows = original.detach().to(weight.device, weight.dtype, copy=True)
        rows[kept.to(weight.device)] = weight.detach()
        _replace(model, weight, rows)


def _vocabulary_weights(model: PreTrainedModel) -> list[nn.Parameter]:
    """The embeddings and, where it is a matrix of its own as in mT5, the head."""
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    weights = [embedding] if head is embedding else [embedding, head]
    if not all(weight.is_floating_point() for weight in weights):
        raise RuntimeError("Embeddings and head must be trimmed before they are quantised.")
    return weights


def _replace(model: PreTrainedModel, weight: nn.Parameter, rows: torch.Tensor) -> None:
    """Puts new rows wherever a parameter stands: the embeddings do so three times."""
    parameter = nn.Parameter(rows, requires_grad=weight.requires_grad)
    for module in model.modules():
        if getattr(module, "weight", None) is weight:
            module.weight = parameter
            setattr(module, "num_embeddings" if isinstance(module, nn.Embedding) else "out_features", len(rows))
    for module in model.modules():
        if hasattr(getattr(module, "config", None), "vocab_size"):
            module.config.vocab_size = len(rows)
