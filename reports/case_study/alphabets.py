"""What an ASCII tokenizer makes of the same outputs: ROUGE-1 both ways in Turkish, Russian and English."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from metrics.lead import lead_sentences
from metrics.rouge import rouge
from reports.card_tables import table

ASSETS = Path(__file__).resolve().parent.parent.parent / "assets"
STORIES = {
    "tr": ASSETS / "quickstart/tr.jsonl",
    "ru": ASSETS / "case_study/ru.jsonl",
    "en": ASSETS / "quickstart/en.jsonl",
}


def both_ways(predictions: Sequence[str], references: Sequence[str], language: str) -> tuple[float, float]:
    """Mean ROUGE-1 by rouge-score's default tokenizer and by ours, each in [0, 100]."""
    ascii_, unicode = (rouge(predictions, references, language, name)["rouge1"] for name in ("rouge155", "unicode"))
    return sum(ascii_) / len(ascii_), sum(unicode) / len(unicode)


def outputs(articles: Sequence[str], summaries: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Outputs whose quality everybody knows: perfect, plausible and unrelated."""
    return {
        "the reference itself": summaries,
        "the article's first sentence": lead_sentences(articles, 1),
        "another article's reference": [*summaries[1:], summaries[0]],
    }


def alphabets_table(trained: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> str:
    """Markdown: outputs down, languages across.

    Args:
        trained: Predictions and references of a trained model by language; may be empty.
    """
    rows = [[name] for name in outputs([], [""])]
    for language, file in STORIES.items():
        stories = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        articles, summaries = [one["article"] for one in stories], [one["summary"] for one in stories]
        for row, texts in zip(rows, outputs(articles, summaries).values(), strict=True):
            row += [f"{score:.1f}" for score in both_ways(texts, summaries, language)]
    if trained:
        row = ["the good run's test summaries"]
        for language in STORIES:
            found = both_ways(*trained[language], language) if language in trained else ()
            row += [f"{score:.1f}" for score in found] or ["–", "–"]
        rows.append(row)
    return table(["output", *(f"{code} {kind}" for code in STORIES for kind in ("ASCII", "Unicode"))], rows)
