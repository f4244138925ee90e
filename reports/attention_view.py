"""An interactive view of cross-attention: pointing at a word of the summary shades the words of the article."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reports.attention_record import OUTSIDE, AttentionRecord, same_summary
from reports.template import html_template


def attention_view(records: Sequence[AttentionRecord], name: str) -> str:
    """HTML with its script and data, for any page; it loads nothing.

    A layer's weights are the mean over its heads. The shade of an article's word is relative to the strongest one of
    the chosen summary word.

    Args:
        records: Of one article; if they are of the same summary, pointing at a word shows it in all of them.
        name: Id of the element, unique on its page.
    """
    shared = same_summary(records)
    data = json.dumps([_data(record, shared) for record in records], ensure_ascii=False)
    # Else a "</script>" in an article would end the data.
    data = data.replace("<", "\\u003c")
    return html_template("attention_view.html.j2").render(id=name, data=data)


def leanings(record: AttentionRecord) -> list[tuple[int, float, float]]:
    """Which sentence of the article each word of the summary leans on, over the mean of layers and heads.

    Returns:
        For each word, the number of the sentence with the greatest weight, from 0; its share of the attention on the
        article; and the share of all attention that is outside the article. Long sentences have more words to look at.
    """
    return _leanings(record.cross_by_sentence().mean(axis=(0, 1)))


def _leanings(weights: npt.NDArray[np.floating]) -> list[tuple[int, float, float]]:
    outside = weights[:, : len(OUTSIDE)].sum(axis=1)
    inside = weights[:, len(OUTSIDE) :]
    shares = inside.max(axis=1) / np.maximum(inside.sum(axis=1), 1e-9)
    return list(zip(inside.argmax(axis=1).tolist(), shares.tolist(), outside.tolist(), strict=True))


def _data(record: AttentionRecord, shared: bool) -> dict[str, Any]:
    layers = _with_mean(record.cross)[:, :, len(OUTSIDE) :]
    scaled = layers / np.maximum(layers.max(axis=2, keepdims=True), 1e-9)
    return {
        "model": record.model,
        "language": record.language,
        "shared": shared,
        "layers": ["mean of all", *(str(layer + 1) for layer in range(len(record.cross)))],
        "summary": record.summary_words,
        "words": record.source_words,
        "sentence_of": record.source_sentences,
        "cut": record.cut,
        "sentences": [
            [(place, round(share, 3), round(outside, 3)) for place, share, outside in _leanings(layer)]
            for layer in _with_mean(record.cross_by_sentence())
        ],
        "weights": base64.b64encode((255 * scaled).round().astype(np.uint8).tobytes()).decode("ascii"),
    }


def _with_mean(weights: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Mean over heads of all layers together, then of each: (1 + L, rows, columns)."""
    by_layer = weights.mean(axis=1)
    return np.concatenate([by_layer.mean(axis=0, keepdims=True), by_layer])
