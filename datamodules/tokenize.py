"""From text to token ids that end in `</s>`: the one definition of where a text ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from metrics.sentences import SENTENCE_END

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


def leading_sentences(text: str) -> list[str]:
    """All beginnings of a text that end with a sentence, longest first; the whole text is not among them.

    Example:
        >>> leading_sentences("Yağdı. Durdu! Bitti.")
        ['Yağdı. Durdu!', 'Yağdı.']
    """
    text = text.strip()
    return [text[: match.end()] for match in SENTENCE_END.finditer(text) if match.end() < len(text)][::-1]


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
        candidates = (_ids(tokenizer, beginning) for beginning in leading_sentences(text))
        ids = next((shorter for shorter in candidates if len(shorter) < limit), ids)
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
    sources = tokenizer([prefix + text for text in rows["article"]], add_special_tokens=False, verbose=False).input_ids
    targets = [encode_target(text, tokenizer, max_target_tokens, truncate_targets) for text in rows["summary"]]
    return {
        "input_ids": [truncate_with_eos(ids, max_source_tokens, tokenizer.eos_token_id) for ids in sources],
        "labels": [labels for labels, _ in targets],
        "source_tokens": [len(ids) + 1 for ids in sources],
        "target_tokens": [length for _, length in targets],
    }


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids
