"""Records what an mT5 attends to while it writes a given summary.

Shapes: L layers, H heads, S source tokens, T summary tokens, W words of the summary and N of the article, K sentences.

The weights of a layer exist while it runs, and are summed up to words and sentences at once: of all layers together
only the sums are kept. One layer of the encoder holds H x S x S numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from transformers import MT5ForConditionalGeneration, T5ForConditionalGeneration

from lightning_modules.hidden_states import base_model
from lightning_modules.trained_model import TrainedModel
from metrics.sentences import sentence_spans
from metrics.words import word_spans
from reports.attention_record import END, OUTSIDE, AttentionRecord


@dataclass(frozen=True)
class _Encoded:
    """Tokens of a text, and the words and sentences that they belong to.

    Attributes:
        ids: Token ids, `</s>` last.
        words: Beginning of each word that tokens belong to, and the end of the last.
        word_of: Number of each token's word; -2 for the prefix, -1 for `</s>`.
        text: What `words` counts in.
        cut: Whether the text goes on.
    """

    ids: list[int]
    words: list[int]
    word_of: list[int]
    text: str
    cut: bool

    @property
    def pieces(self) -> list[str]:
        """The words, with what follows them."""
        return [self.text[start:end] for start, end in pairwise(self.words)]


def record_attention(
    trained: TrainedModel, article: str, summary: str, language: str, model: str = "model", name: str = "article"
) -> AttentionRecord:
    """Runs the model once over an article and a summary, as in training, and records encoder and cross-attention.

    A word's row is the attention of the decoder's steps that choose its tokens. Two models given the same summary can
    be compared word by word, even if their vocabularies differ.

    Args:
        trained: An mT5 or T5, adapted or not, in eval mode.
        article: The source; cut as in training.
        summary: Generated or given; encoded anew.
        language: Of both; chooses the prefix.
        model: What to call the model.
        name: What to call the article.

    Raises:
        ValueError: If the model is of another kind, or article or summary have no word.
    """
    base = base_model(trained.model)
    if not isinstance(base, MT5ForConditionalGeneration | T5ForConditionalGeneration):
        raise ValueError(f"Attention can be recorded of an mT5 or T5, not of {type(base).__name__}.")
    prefix = trained.prefixes.get(language, trained.source_prefix)
    source = _encode(trained.tokenizer, prefix, article, trained.max_source_tokens)
    target = _encode(trained.tokenizer, "", summary, None)
    sentence_of = _sentences(article, source.words)
    columns = torch.tensor([2 + word for word in source.word_of])
    sentences = torch.tensor([2 + sentence_of[word] if word >= 0 else 2 + word for word in source.word_of])
    rows = torch.tensor([len(target.pieces) if word < 0 else word for word in target.word_of])
    keys = [_membership(columns, 2 + len(source.pieces)), _membership(sentences, 3 + max(sentence_of))]
    with _recorded(
        base, keys, _mean_over(rows, len(target.pieces) + 1), _mean_over(sentences, len(keys[1].T))
    ) as found:
        _run(base, source.ids, target.ids)
    return AttentionRecord(
        model=model,
        id=name,
        language=language,
        summary_words=[*target.pieces, END],
        source_words=source.pieces,
        source_sentences=sentence_of,
        cut=source.cut,
        cross=np.stack(found["cross"]),
        encoder=np.stack(found["encoder"]),
    )


def _encode(tokenizer: Any, prefix: str, text: str, limit: int | None) -> _Encoded:
    encoded = tokenizer(prefix + text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    count = len(encoded.input_ids) if limit is None else min(len(encoded.input_ids), limit - 1)
    ends = [end - len(prefix) for _, end in encoded.offset_mapping[:count]]
    starts = [0, *(start for start, _ in word_spans(text)[1:]), len(text)]
    # By its last character, since a token's first may be the space before its word.
    word_of = [bisect_right(starts, end - 1) - 1 if end > 0 else -len(OUTSIDE) for end in ends]
    used = sorted({word for word in word_of if word >= 0})  # a word without a token goes with the next one
    if not used or not any(map(str.isalnum, text)):
        raise ValueError(f"There is no word to attend to in {text[:60]!r}; leave this example out.")
    number = {word: place for place, word in enumerate(used)}
    return _Encoded(
        ids=[*encoded.input_ids[:count], tokenizer.eos_token_id],
        words=[0, *(starts[word + 1] for word in used)],
        word_of=[*(number.get(word, word) for word in word_of), -1],
        text=text,
        cut=count < len(encoded.input_ids),
    )


def _sentences(text: str, words: Sequence[int]) -> list[int]:
    """The number of each word's sentence."""
    starts = [start for start, _ in sentence_spans(text)]
    return [max(bisect_right(starts, end - 1) - 1, 0) for end in words[1:]]


def _membership(places: torch.Tensor, count: int) -> torch.Tensor:
    """(tokens, count) fp32: 1 where a token belongs to a place."""
    return torch.nn.functional.one_hot(places, count).float()


def _mean_over(places: torch.Tensor, count: int) -> torch.Tensor:
    """(count, tokens) fp32: takes the mean over the tokens of each place; an empty one (no prefix) stays 0."""
    member = _membership(places, count).T
    return member / member.sum(dim=1, keepdim=True).clamp(min=1)


@contextmanager
def _recorded(
    model: Any, keys: Sequence[torch.Tensor], summary: torch.Tensor, source: torch.Tensor
) -> Iterator[dict[str, list[np.ndarray]]]:
    """Sums up the weights of each layer that runs inside: `cross` (H, W, 2 + N), `encoder` (H, 2 + K, 2 + K)."""
    found: dict[str, list[np.ndarray]] = {"cross": [], "encoder": []}

    def keep(name: str, rows: torch.Tensor, columns: torch.Tensor) -> Any:
        def hook(module: Any, inputs: Any, outputs: Any) -> None:
            weights = outputs[2][0].float()  # of the only row of the batch, (H, queries, keys)
            found[name].append((rows.to(weights) @ (weights @ columns.to(weights))).cpu().numpy())

        return hook

    def attentions() -> Iterator[tuple[Any, Any]]:
        for block in model.encoder.block:
            yield block.layer[0].SelfAttention, keep("encoder", source, keys[1])
        for block in model.decoder.block:
            yield block.layer[1].EncDecAttention, keep("cross", summary, keys[0])

    # Of each stack, since its configuration is a copy that transformers 5.17 does not reach from the model.
    parts = (model, model.encoder, model.decoder)
    before = [part.config._attn_implementation for part in parts]
    for part in parts:
        part.set_attn_implementation("eager")  # the fused kernels never have the weights
    handles = [module.register_forward_hook(hook) for module, hook in attentions()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        for part, implementation in zip(parts, before, strict=True):
            part.set_attn_implementation(implementation)


@torch.inference_mode()
def _run(model: Any, source: Sequence[int], target: Sequence[int]) -> None:
    device = model.device
    start = model.config.decoder_start_token_id
    model(
        input_ids=torch.tensor([source], device=device),
        attention_mask=torch.ones(1, len(source), dtype=torch.int64, device=device),
        decoder_input_ids=torch.tensor([[start, *target[:-1]]], device=device),
        use_cache=False,
    )
