"""How fast ROUGE is: 10,000 pairs with each tokenizer, and 500 beside torchmetrics and rouge-score; writes a JSON.

    python benchmarks/rouge_speed.py --output benchmarks/results/cpu_rouge_speed.json

The texts are those of assets/quickstart, cycled, with the pair's number added so that none comes twice.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import SimpleNamespace

from rouge_score.rouge_scorer import RougeScorer
from torchmetrics.functional.text.rouge import rouge_score

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from metrics import rouge as module  # noqa: E402
from metrics.lead import lead_sentences  # noqa: E402
from metrics.words import lowercase, words  # noqa: E402

KEYS = ("rouge1", "rouge2", "rougeL")  # without rougeLsum, for which torchmetrics and rouge-score ask for nltk's data


def pairs(language: str, count: int) -> tuple[list[str], list[str]]:
    """Leads of two sentences and summaries."""
    lines = (ROOT / f"assets/quickstart/{language}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    leads = lead_sentences([row["article"] for row in rows], 2)
    cycled = [index % len(rows) for index in range(count)]
    predictions = [f"{leads[at]} {index}" for index, at in enumerate(cycled)]
    return predictions, [f"{rows[at]['summary']} {index}" for index, at in enumerate(cycled)]


def seconds(score: Callable[[], object], repeats: int) -> float:
    """Median time, each time with nothing remembered."""
    times = []
    for _ in range(repeats):
        module._encode.cache_clear()
        module.rouge_words.cache_clear()
        started = time.perf_counter()
        score()
        times.append(time.perf_counter() - started)
    return round(median(times), 3)


def ours(language: str, count: int, repeats: int) -> dict[str, float]:
    """Seconds by setting; all four scores."""
    texts = pairs(language, count)
    settings: list[tuple[module.RougeTokenizer, bool]] = [
        ("unicode", False),
        ("unicode", True),
        ("rouge155", False),
        ("rouge155", True),
        ("xlsum", False),
    ]
    return {
        f"{tokenizer}{', stemming' if stemming else ''}": seconds(
            lambda: module.rouge(*texts, language, tokenizer, stemming),  # noqa: B023
            repeats,
        )
        for tokenizer, stemming in settings
    }


def others(language: str, count: int, repeats: int) -> dict[str, float]:
    """Seconds of torchmetrics and rouge-score with our Unicode words; three scores."""
    predictions, references = pairs(language, count)

    def tokenize(text: str) -> list[str]:
        return words(lowercase(text, language))

    def torchmetrics_scores() -> None:
        rouge_score(predictions, references, normalizer=str, tokenizer=tokenize, rouge_keys=KEYS)

    def rouge_score_scores() -> None:
        scorer = RougeScorer(list(KEYS), tokenizer=SimpleNamespace(tokenize=tokenize))
        for prediction, reference in zip(predictions, references, strict=True):
            scorer.score(reference, prediction)

    return {
        "torchmetrics": seconds(torchmetrics_scores, repeats),
        "rouge-score": seconds(rouge_score_scores, repeats),
    }


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--subset", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--language", default="tr")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    language, repeats = options.language, options.repeats
    packages = ("rouge-score-rs", "rouge-score", "torchmetrics", "snowballstemmer", "regex")
    result = {
        "what": f"seconds, median of {repeats}; ours: four scores, the others: three",
        "language": language,
        "pairs": options.pairs,
        "ours": ours(language, options.pairs, repeats),
        "subset_pairs": options.subset,
        "subset": ours(language, options.subset, repeats) | others(language, options.subset, repeats),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }
    text = json.dumps(result, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
