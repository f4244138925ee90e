"""Shows in HTML which sentences of an article a summary leans on."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from metrics.source_sentences import SourceSentence

# Orange, readable under black and under white text; full strength would hide the latter.
_COLOUR = "245, 158, 11"
_STRONGEST = 0.75


def highlight_sentences(article: str, sentences: Sequence[SourceSentence]) -> str:
    """The article with a colour behind each sentence, the stronger the greater its share; in HTML, escaped.

    Args:
        article: The text.
        sentences: From `source_sentences`; the strongest colour is that of the greatest share.
    """
    greatest = max((sentence.share for sentence in sentences), default=0.0) or 1.0
    parts, end = [], 0
    for sentence in sentences:
        style = f"background: rgba({_COLOUR}, {_STRONGEST * sentence.share / greatest:.2f}); color: inherit"
        share = f"{sentence.share:.0%} of the summary's words"
        text = escape(article[sentence.start : sentence.end])
        parts += [escape(article[end : sentence.start]), f'<mark style="{style}" title="{share}">{text}</mark>']
        end = sentence.end
    parts.append(escape(article[end:]))
    return f'<div style="white-space: pre-wrap; line-height: 1.6">{"".join(parts)}</div>'
