"""How fast a trained model summarises on a CPU in each format, in how much memory, and how well; writes a JSON.

    python benchmarks/cpu_formats.py RUN --articles test.jsonl --output benchmarks/results/cpu_formats.json \
        --onnx-python /path/to/venv/bin/python

ONNX Runtime is measured in an environment of its own, since optimum-onnx 0.1.0 asks for transformers below 4.58.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from datamodules.tokenize import truncate_with_eos  # noqa: E402
from export import main as export  # noqa: E402
from lightning_modules.generation import decode, generation_config  # noqa: E402
from lightning_modules.trained_model import TrainedModel, load_trained  # noqa: E402
from metrics.rouge import rouge  # noqa: E402

CPU = torch.device("cpu")
WORKER = Path(__file__).with_name("cpu_format_worker.py")


def batches_of(trained: TrainedModel, articles: Sequence[str], size: int) -> list[dict[str, list]]:
    """Padded batches of encoded articles, in their order."""
    tokenizer, limit = trained.tokenizer, trained.max_source_tokens
    encoded = tokenizer([trained.source_prefix + text for text in articles], add_special_tokens=False).input_ids
    rows = [truncate_with_eos(ids, limit, tokenizer.eos_token_id) for ids in encoded]
    groups = [rows[first : first + size] for first in range(0, len(rows), size)]
    padded = [tokenizer.pad({"input_ids": group}) for group in groups]
    return [{"ids": batch["input_ids"], "mask": batch["attention_mask"]} for batch in padded]


def work(python: str, request: dict[str, Any]) -> dict[str, Any]:
    """Has a request answered in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        request = request | {"answer": f"{folder}/answer.json"}
        environment = os.environ | {"OMP_NUM_THREADS": str(request.get("threads", 1))}
        done = subprocess.run(
            [python, str(WORKER)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=environment,
        )
        if done.returncode:
            raise RuntimeError(f"{request['format']}: {done.stderr}")
        file = Path(request["answer"])
        return json.loads(file.read_text()) if file.is_file() else {}


def folders(run: str, scratch: Path, onnx_python: str | None) -> list[tuple[str, str, Path, str]]:
    """Name, format, folder and Python of every format; exports and converts what is not there yet."""
    own = sys.executable
    if not (scratch / "plain").exists():
        export([run, f"--output={scratch / 'plain'}", "--dtype=fp32"])
    found = [
        ("transformers fp32", "transformers", scratch / "plain", own),
        ("generation.fast fp32", "fast", scratch / "plain", own),
    ]
    for dtype in ("fp32", "int8"):
        if not (scratch / dtype).exists():
            export([run, f"--output={scratch / dtype}", "--format=ctranslate2", f"--dtype={dtype}"])
        found.append((f"CTranslate2 {dtype}", "ctranslate2", scratch / dtype, own))
    if onnx_python:
        target = scratch / "onnx"
        if not target.exists():
            work(onnx_python, {"format": "convert_to_onnx", "folder": str(scratch / "plain"), "output": str(target)})
        found += [(f"ONNX Runtime {dtype}", "onnx", target / dtype, onnx_python) for dtype in ("fp32", "int8")]
    return found


def scores(texts: Sequence[str], rows: Sequence[dict[str, str]]) -> dict[str, dict[str, float]]:
    """ROUGE F-measures in percent by language."""
    result = {}
    for language in dict.fromkeys(row["language"] for row in rows):
        own = [index for index, row in enumerate(rows) if row["language"] == language]
        found = rouge([texts[index] for index in own], [rows[index]["summary"] for index in own], language)
        result[language] = {name: round(fmean(found[name]), 2) for name in ("rouge1", "rouge2", "rougeL")}
    return result


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All formats, one after the other, `repeats` times; the fastest time of each counts."""
    rows = [json.loads(line) for line in options.articles.read_text(encoding="utf-8").splitlines()]
    trained = load_trained(options.run, CPU)
    settings = generation_config(
        trained.generation, trained.tokenizer, trained.model.get_output_embeddings().weight.shape[0]
    ).to_diff_dict()
    request = {"settings": settings, "threads": options.threads}
    request["batches"] = batches_of(trained, [row["article"] for row in rows], options.batch_size)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        exported = options.folders or Path(scratch)
        for name, kind, folder, python in folders(options.run, exported, options.onnx_python):
            asked = request | {"format": kind, "folder": str(folder)}
            answers = [work(python, asked) for _ in range(options.repeats)]
            best = min(answers, key=lambda one: one["seconds"])
            texts = decode(
                torch.nn.utils.rnn.pad_sequence([torch.tensor(i) for i in best.pop("ids")], True), trained.tokenizer
            )
            first = results.setdefault("texts", texts)
            size = sum(file.stat().st_size for file in folder.iterdir() if file.suffix != ".json")
            results[name] = {
                "summaries_per_s": round(len(rows) / best["seconds"], 2),
                "equal_to_transformers": fmean(a == b for a, b in zip(texts, first, strict=True)),
                "rouge": scores(texts, rows),
                "disk_mib": round(size / 2**20, 1),
                **best,
            }
            print(name, results[name], flush=True)
    del results["texts"]
    return results


def onnx_packages(python: str | None) -> dict[str, str]:
    """Versions in the environment of ONNX Runtime."""
    if not python:
        return {}
    names = {"onnxruntime": "onnxruntime", "optimum-onnx": "optimum-onnx", "transformers of onnx": "transformers"}
    code = f"import json, importlib.metadata as m; print(json.dumps({{k: m.version(v) for k, v in {names}.items()}}))"
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run's folder or checkpoint")
    parser.add_argument("--articles", type=Path, required=True, help="JSONL: language, article, summary")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--onnx-python", help="Python of an environment with optimum-onnx")
    parser.add_argument("--folders", type=Path, help="where exported models are kept, and found again")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    results = measure(options)
    packages = {name: version(name) for name in ("torch", "transformers", "ctranslate2")}
    record = {
        "machine": {"processor": platform.processor() or platform.machine(), "cpus": os.cpu_count()},
        "packages": packages | onnx_packages(options.onnx_python),
        "model": {"parameters": sum(one.numel() for one in load_trained(options.run, CPU).model.parameters())},
        "articles": len(options.articles.read_text(encoding="utf-8").splitlines()),
        "settings": {name: str(getattr(options, name)) for name in ("batch_size", "threads", "repeats")},
        "formats": results,
    }
    options.output.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
