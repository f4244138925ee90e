"""Sentences of a text in any script: the one rule for where a sentence ends."""

from __future__ import annotations

from itertools import pairwise

import regex

from metrics.normal_form import normal_form

# Chinese, Japanese and Burmese marks need no white space behind them.
_WIDE = "。｡！？︒︕︖။"
# All other full stops, question and exclamation marks of Unicode; Burmese's ၊ is rather a comma.
_MARKS = rf"[\p{{Sentence_Terminal}}…‥--[{_WIDE}၊]]"
# What the tokenizer makes of ！ ？ ．; a full stop before Latin letters or digits belongs to a name or a number.
_WIDE_WRITTEN_NARROW = r"(?<=[\p{Han}\p{Hiragana}\p{Katakana}ー])(?:[!?]++|[.．]++(?![\p{Latin}\p{N}]))"
# Tried at the first mark of a row only and never backwards: else a row of dots takes quadratic time.
_END = rf"(?<!{_MARKS}){_MARKS}++[\"'”’»)\]]*+(?=[\s\u200b])|(?:[{_WIDE}]+|{_WIDE_WRITTEN_NARROW})[」』”’）)】》〉]*"
_LINE_BREAK = r"[\n\v\f\r\x85\u2028\u2029]"
# To look for any of the marks first takes half the time.
SENTENCE_END = regex.compile(rf"(?V1)(?=[\p{{Sentence_Terminal}}…‥])(?:{_END})")
_BREAK = regex.compile(rf"(?V1)(?=[\p{{Sentence_Terminal}}…‥{_LINE_BREAK}])(?:{_END}|{_LINE_BREAK})")


def sentences(text: str) -> list[str]:
    """Return sentences by their closing marks; a line break always ends one. An abbreviation before a space does too.

    Thai and Lao have no such marks: there only line breaks end sentences.

    Example:
        >>> sentences("Yağdı. Durdu! Bitti")
        ['Yağdı.', 'Durdu!', 'Bitti']
    """
    return [text[start:end] for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text begin and end in it, without white space around them."""
    bounds = [0, *(match.end() for match in _BREAK.finditer(text)), len(text)]
    trimmed = ((start, text[start:end]) for start, end in pairwise(bounds))
    return [
        (start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()))
        for start, piece in trimmed
        if normal_form(piece).strip()
    ]
