"""From text to token ids that end in `</s>`: the one definition of where a text ends."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from metrics.sentences import SENTENCE_END

# A longer beginning has no fewer ids than a shorter one, give or take a few: what stands at its very end may be cut
# otherwise where the text goes on without a space, as in Chinese.
_DIFFERENCE = 16

TruncateTargets = Literal["sentence", "token", "drop"]


def truncate_with_eos(ids: Sequence[int], limit: int, eos_id: int) -> list[int]:
    """Cuts a text's tokens so that `</s>` is always the last one.

    Args:
        ids: Token ids of a text, without `</s>`.
        limit: Greatest number of ids to return, `</s>` included; at least 1.
        eos_id: Id of `</s>`.

    Returns:
        At most `limit` ids: the first of `ids`, then `</s>` exactly once.

    Raises:
        ValueError: If `limit` is below 1 or `</s>` already stands among `ids`.

    Example:
        >>> truncate_with_eos([7, 8, 9], limit=3, eos_id=1)
        [7, 8, 1]
    """
    if limit < 1:
        raise ValueError(f"limit {limit} leaves no place for </s>; it must be at least 1.")
    if eos_id in ids:
        raise ValueError(f"</s> (id {eos_id}) stands inside the text's tokens; tokenise without special tokens.")
    return [*ids[: limit - 1], eos_id]


def encode_target(
    text: str, tokenizer: PreTrainedTokenizerBase, limit: int, truncate: TruncateTargets
) -> tuple[list[int], int]:
    """Encodes a summary.

    Args:
        text: The summary.
        tokenizer: From `load_tokenizer`.
        limit: Greatest number of label ids, `</s>` included.
        truncate: `sentence` keeps the leading whole sentences that fit (and cuts inside the first if none does),
            `token` cuts anywhere, `drop` cuts as `token` does: the caller leaves out rows that were too long.

    Returns:
        The labels, ending in `</s>`, and the number of ids that the whole summary would take.
    """
    ids = _ids(tokenizer, text)
    length = len(ids) + 1
    if length > limit and truncate == "sentence":
        ids = _whole_sentences(text, tokenizer, limit) or ids
    return truncate_with_eos(ids, limit, tokenizer.eos_token_id), length


def encode_batch(
    rows: Mapping[str, Sequence[Any]],
    tokenizer: PreTrainedTokenizerBase,
    prefix: str,
    max_source_tokens: int,
    max_target_tokens: int,
    truncate_targets: TruncateTargets,
) -> dict[str, list[Any]]:
    """Encodes a batch of pairs; for `datasets.Dataset.map`.

    Args:
        rows: Columns `article` and `summary`.
        tokenizer: From `load_tokenizer`.
        prefix: Text before each article.
        max_source_tokens: Greatest length of `input_ids`, `</s>` included.
        max_target_tokens: Greatest length of `labels`, `</s>` included.
        truncate_targets: See `encode_target`.

    Returns:
        Columns `input_ids` and `labels` (lists of ids), `source_tokens` and `target_tokens` (lengths before cutting).
    """
    # One by one: a batch of books would take hundreds of times their size.
    sources = [_encode_source(prefix + text, tokenizer, max_source_tokens) for text in rows["article"]]
    targets = [encode_target(text, tokenizer, max_target_tokens, truncate_targets) for text in rows["summary"]]
    return {
        "input_ids": [ids for ids, _ in sources],
        "labels": [labels for labels, _ in targets],
        "source_tokens": [length for _, length in sources],
        "target_tokens": [length for _, length in targets],
    }


def _encode_source(text: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> tuple[list[int], int]:
    ids = _ids(tokenizer, text)
    return truncate_with_eos(ids, limit, tokenizer.eos_token_id), len(ids) + 1


def _whole_sentences(text: str, tokenizer: PreTrainedTokenizerBase, limit: int) -> list[int]:
    """Ids of the longest beginning that ends with a sentence and takes fewer than `limit`; empty if none does."""

    def beginning(end: int) -> list[int]:
        return _ids(tokenizer, text[:end])

    last = len(text.rstrip())
    ends = [match.end() for match in SENTENCE_END.finditer(text) if match.end() < last]
    # To tokenise every beginning would take time and memory that grow with the square of the text.
    most, reach = limit + _DIFFERENCE, 1
    while reach < len(ends) and len(beginning(ends[reach])) < most:
        reach *= 2
    few = bisect_left(ends, most, hi=min(reach, len(ends)), key=lambda end: len(beginning(end)))
    return next((ids for ids in map(beginning, reversed(ends[:few])) if len(ids) < limit), [])


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids
