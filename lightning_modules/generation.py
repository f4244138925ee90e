"""How summaries are generated and turned into text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from datamodules.tokenizer import sentinels


@dataclass(frozen=True)
class Generation:
    """Settings of generation.

    Args:
        max_new_tokens: Greatest length of a summary in tokens, `</s>` included; at least 2.
        num_beams: Beams; 1 is greedy.
        length_penalty: Exponent of the length in beam scores; above 0 favours longer summaries. Unused when greedy.
        no_repeat_ngram_size: No n-gram of this size comes twice in a summary; 0 is off.
        suppress_sentinels: Never generate `<extra_id_N>` pieces. Off shows whether a model would.
        fast: Decode with caches of fixed size, on a GPU as one CUDA graph a token, instead of by transformers'
            `generate`. The summaries are the same, up to rounding.
        dequantize: With `fast`, hold 4-bit weights in the format that they compute in while generating (and fp32
            weights in bf16 under `bf16-mixed`), if a quarter of the GPU's free memory suffices. The numbers are equal.

    Raises:
        ValueError: If a value is out of range.
    """

    max_new_tokens: int = 128
    num_beams: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    suppress_sentinels: bool = True
    fast: bool = True
    dequantize: bool = True

    def __post_init__(self) -> None:
        for name, bound in (("max_new_tokens", 2), ("num_beams", 1), ("no_repeat_ngram_size", 0)):
            if getattr(self, name) < bound:
                raise ValueError(f"generation.{name} {getattr(self, name)} must be at least {bound}.")


def sentinel_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Ids of the `<extra_id_N>` pieces, ascending."""
    return sorted(sentinels(tokenizer))


def generation_config(
    settings: Generation, tokenizer: PreTrainedTokenizerBase, vocabulary_rows: int
) -> GenerationConfig:
    """Settings for `model.generate`.

    Args:
        settings: What the user chose.
        tokenizer: Gives the ids of padding, `</s>` and the sentinels.
        vocabulary_rows: Rows of the model's head. Those beyond the tokenizer stand for no text and are suppressed.

    Returns:
        A configuration that leaves nothing to the model's own defaults.
    """
    suppressed = list(range(len(tokenizer), vocabulary_rows))
    if settings.suppress_sentinels:
        suppressed = sentinel_ids(tokenizer) + suppressed
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        num_beams=settings.num_beams,
        length_penalty=settings.length_penalty if settings.num_beams > 1 else None,
        no_repeat_ngram_size=settings.no_repeat_ngram_size or None,
        suppress_tokens=suppressed or None,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def decode(ids: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Turns generated ids into texts.

    Args:
        ids: (B, T) int64; ids that the tokenizer does not have (such as -100) are left out.
        tokenizer: The tokenizer.

    Returns:
        B texts without padding and `</s>`; sentinels stay visible.
    """
    known = [[index for index in row if 0 <= index < len(tokenizer)] for row in ids.tolist()]
    return [text.strip() for text in tokenizer.batch_decode(known, skip_special_tokens=True)]


def ended(ids: torch.Tensor, eos_id: int) -> list[bool]:
    """Whether each row of (B, T) int64 generated ids ends by `</s>` rather than by the length limit."""
    return (ids == eos_id).any(dim=1).tolist()


def starts_with_sentinel(ids: torch.Tensor, sentinels: Sequence[int]) -> list[bool]:
    """Whether the first token after the decoder start of each row of (B, T) int64 generated ids is a sentinel."""
    first = ids[:, 1] if ids.shape[1] > 1 else ids[:, 0]
    return torch.isin(first.cpu(), torch.tensor(sentinels, dtype=ids.dtype)).tolist()
