"""What happens to an article that is longer than the model's input: cut, or read in several chunks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from datamodules.tokenize import truncate_with_eos
from metrics.sentences import sentence_spans

LongArticles = Literal["truncate", "chunk"]


@dataclass(frozen=True)
class EncodedArticle:
    """An article as the model reads it.

    Attributes:
        chunks: Token ids of each input, each ending in `</s>`; one unless the article was chunked.
        tokens: Length of the whole article in tokens, prefix and `</s>` included.
        truncated: Whether its end was cut off.
    """

    chunks: list[list[int]]
    tokens: int
    truncated: bool


def encode_article(
    text: str, tokenizer: PreTrainedTokenizerBase, prefix: str, limit: int, long: LongArticles
) -> EncodedArticle:
    """Encodes an article as in training.

    Args:
        text: The article.
        tokenizer: From `load_tokenizer`.
        prefix: Text before each article, and before each of its chunks.
        limit: Greatest number of ids of an input, `</s>` included.
        long: `truncate` keeps the first `limit` tokens; `chunk` keeps all, in chunks of nearly equal length that end
            with a sentence (inside one only if it alone exceeds the limit).

    Raises:
        ValueError: If the prefix leaves no place for text.
    """
    encoding = tokenizer(prefix + text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, eos = encoding.input_ids, tokenizer.eos_token_id
    if len(ids) < limit or long == "truncate":
        return EncodedArticle([truncate_with_eos(ids, limit, eos)], len(ids) + 1, len(ids) >= limit)
    lead = tokenizer(prefix, add_special_tokens=False, verbose=False).input_ids
    room = limit - 1 - len(lead)
    if room < 1:
        raise ValueError(f"The prefix {prefix!r} fills all {limit} tokens of the model's input; raise the limit.")
    starts = [start for start, _ in encoding.offset_mapping]
    first = bisect_left(starts, len(prefix))  # the tokens before it are the prefix's
    ends = [bisect_left(starts, len(prefix) + end) for _, end in sentence_spans(text)]
    chunks = [[*lead, *ids[start:end], eos] for start, end in cut_at_sentences(first, len(ids), ends, room)]
    return EncodedArticle(chunks, len(ids) + 1, truncated=False)


def cut_at_sentences(first: int, last: int, ends: list[int], room: int) -> list[tuple[int, int]]:
    """Cuts a range of tokens into consecutive pieces.

    Args:
        first: Begin of the range.
        last: End of the range.
        ends: Where sentences end, ascending.
        room: Greatest length of a piece; at least 1.

    Returns:
        Begin and end of each piece. It ends with the first sentence that completes an equal share of what is left, else
        with the last one that fits, else after `room` tokens.

    Example:
        >>> cut_at_sentences(0, 12, [3, 5, 9, 12], room=7)
        [(0, 5), (5, 12)]
    """
    pieces = []
    while first < last:
        left = last - first
        share = -(-left // -(-left // room))  # rounded up: of the fewest pieces that could hold what is left
        fitting = ends[bisect_right(ends, first) : bisect_right(ends, first + room)]
        enough = [end for end in fitting if end >= first + share]
        end = last if left <= room else (enough[:1] or fitting[-1:] or [first + room])[0]
        pieces.append((first, end))
        first = end
    return pieces
