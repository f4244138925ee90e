"""BERTScore with a real encoder: is it bert-score's, how fast is it beside training, does it touch a GPU?

Scores the first words of the quickstart's stories against their summaries, in the process that training uses and by
bert-score called by hand, and writes a JSON of both.

    python benchmarks/bertscore_encoder.py --encoder DIR --languages tr en --threads 2 --output result.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bert_score
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from callbacks.bertscore_process import ScorerProcess  # noqa: E402
from metrics.bertscore import RAW, Encoder  # noqa: E402
from metrics.lead import lead_words  # noqa: E402
from metrics.pretrained import load_pretrained  # noqa: E402

SECONDS = 600.0


def read_pairs(language: str, count: int) -> tuple[list[str], list[str]]:
    """First words of articles, and summaries."""
    with (ROOT / "assets" / "quickstart" / f"{language}.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:count]
    return lead_words([row["article"] for row in rows], 25), [row["summary"] for row in rows]


def in_process(
    encoder: Encoder, threads: int, pairs: dict[str, tuple[list[str], list[str]]], rounds: int
) -> dict[str, Any]:
    """Scores by language, speed after the first round, and which GPU files the process has open."""
    settings = {"encoders": dict.fromkeys(pairs, asdict(encoder)), "rescale": False, "batch_size": 32}
    started = time.perf_counter()
    process = ScorerProcess(settings, threads)
    try:
        scores = {language: ask(process, language, *texts) for language, texts in pairs.items()}
        first = time.perf_counter() - started
        rates = []
        for _ in range(rounds):
            started = time.perf_counter()
            for language, texts in pairs.items():
                ask(process, language, *texts)
            rates.append(sum(len(texts[0]) for texts in pairs.values()) / (time.perf_counter() - started))
        files = gpu_files(process.pid)
    finally:
        process.close()
    return {"scores": scores, "seconds_with_loading": first, "pairs_per_s": rates, "gpu_files": files}


def ask(process: ScorerProcess, language: str, predictions: list[str], references: list[str]) -> list[float]:
    """Waits for the scores."""
    process.ask(language, predictions, references)
    reply = process.reply(SECONDS)
    if reply is None or "error" in reply:
        raise SystemExit(f"No scores: {reply}")
    return reply["scores"][RAW]


def by_hand(encoder: Encoder, pairs: dict[str, tuple[list[str], list[str]]]) -> dict[str, list[float]]:
    """bert-score's own function on a copy of the folder in fp32, whose tokenizer has a limit."""
    assert encoder.model is not None
    layers = encoder.num_layers
    if layers is None:
        layers = load_pretrained(AutoConfig, encoder.model).num_hidden_layers
    tokenizer = load_pretrained(AutoTokenizer, encoder.model)
    tokenizer.model_max_length = min(tokenizer.model_max_length, encoder.max_tokens)
    with tempfile.TemporaryDirectory() as copy:
        load_pretrained(AutoModel, encoder.model, dtype=torch.float32).save_pretrained(copy)
        tokenizer.save_pretrained(copy)
        return {
            language: bert_score.score(*texts, model_type=copy, num_layers=layers, device="cpu")[2].tolist()
            for language, texts in pairs.items()
        }


def gpu_files(pid: int) -> list[str]:
    """What a process with a CUDA context has open: /dev/nvidiactl, /dev/nvidia0, /dev/nvidia-uvm."""
    opened = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            opened.add(os.readlink(file))
        except FileNotFoundError:  # the listing itself
            continue
    return sorted(path for path in opened if path.startswith("/dev/nvidia"))


def main() -> None:
    """Measures one encoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", required=True, help="folder with a model and its tokenizer")
    parser.add_argument("--num-layers", type=int, help="the last layer if left out")
    parser.add_argument("--languages", nargs="+", default=["tr", "en"])
    parser.add_argument("--pairs", type=int, default=40, help="of each language, at most 48")
    parser.add_argument("--rounds", type=int, default=3, help="over all pairs, for the speed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()

    if torch.cuda.is_available():
        torch.zeros(1, device="cuda")  # so that a context in this process shows what one looks like
    encoder = Encoder(options.encoder, options.num_layers)
    pairs = {language: read_pairs(language, options.pairs) for language in options.languages}
    result = in_process(encoder, options.threads, pairs, options.rounds)
    scores, expected = result.pop("scores"), by_hand(encoder, pairs)
    differences = [abs(a - b) for code in pairs for a, b in zip(scores[code], expected[code], strict=True)]
    files = result.pop("gpu_files")
    result = {
        "encoder": Path(options.encoder).name,
        "pairs": {language: len(texts[0]) for language, texts in pairs.items()},
        "mean_score": {language: sum(values) / len(values) for language, values in scores.items()},
        "greatest_difference_from_bert_score_by_hand": max(differences),
        "equal_to_1e-6": max(differences) <= 1e-6,
        **result,
        "threads": options.threads,
        "gpu_files_open_in_scorer": files,
        "gpu_files_open_in_this_process": gpu_files(os.getpid()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": {name: version(name) for name in ("bert-score", "transformers", "torch")},
    }
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
