"""What 4 and 8 bits for `wo`, embeddings and head cost in validation loss.

    python benchmarks/quantization_quality.py --pairs DIR --base DIR --steps 300 --output result.json

Needs two Parquet files, tr-tbmm.parquet and en-xsum.parquet, with columns split, article, summary. Adapters are trained
once on the unquantised base; then they are put onto the base in each format, and the same validation pairs are scored.
Adapters that are trained on the quantised base, as QLoRA's are, may make up for part of it.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import torch
import transformers
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402

from datamodules.collate import SummarizationCollator  # noqa: E402
from datamodules.tokenize import truncate_with_eos  # noqa: E402
from datamodules.tokenizer import load_tokenizer  # noqa: E402
from lightning_modules.adaptation import Lora, adapt, load_base  # noqa: E402
from lightning_modules.checkpointing import load_trainable_state, trainable_state  # noqa: E402
from lightning_modules.quantization import Quantization, count_parameters, quantize_rest  # noqa: E402

FILES = {"tr": "tr-tbmm.parquet", "en": "en-xsum.parquet"}
FORMATS = {
    "not quantised": None,
    "nf4 layers": Quantization(),
    "+ wo nf4": Quantization(wo=True),
    "+ embeddings int8": Quantization(embedding_bits=8),
    "+ embeddings nf4": Quantization(embedding_bits=4),
    "+ head int8": Quantization(head_bits=8),
    "+ head nf4": Quantization(head_bits=4),
    "+ wo nf4, embeddings and head int8": Quantization(wo=True, embedding_bits=8, head_bits=8),
    "+ wo, embeddings and head nf4": Quantization(wo=True, embedding_bits=4, head_bits=4),
}


def batches(options: argparse.Namespace, language: str, split: str, rows: int) -> list[Any]:
    """The first rows of a split, in batches."""
    tokenizer = load_tokenizer(options.base)
    data = datasets.load_dataset("parquet", data_files=str(options.pairs / FILES[language]), split="train")
    data = data.filter(lambda row: row["split"] == split).select(range(rows))

    def encode(text: str, limit: int) -> list[int]:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        return truncate_with_eos(ids, limit, tokenizer.eos_token_id)

    collate = SummarizationCollator(tokenizer.pad_token_id, tokenizer.eos_token_id, [language])
    result = []
    for first in range(0, rows, options.batch_size):
        part = data[first : first + options.batch_size]
        columns = {
            "id": [str(row) for row in range(first, first + len(part["article"]))],
            "language": [language] * len(part["article"]),
            "input_ids": [encode(text, options.source_tokens) for text in part["article"]],
            "labels": [encode(text, options.target_tokens) for text in part["summary"]],
        }
        batch = collate((pa.table(columns), None))
        result.append({name: batch[name] for name in ("input_ids", "attention_mask", "labels")})  # type: ignore[literal-required]
    return result


def load(options: argparse.Namespace, quantization: Quantization | None) -> nn.Module:
    """The base in one format, with new adapters."""
    adaptation = "lora" if quantization is None else "qlora"
    settings = quantization or Quantization()
    device, dtype = torch.device(options.device), getattr(torch, options.dtype)
    model = load_base(options.base, None, adaptation, settings, dtype, device).to(device)
    quantize_rest(model, settings)
    return adapt(model, adaptation, Lora(dropout=0.0))


def loss(model: nn.Module, batch: dict[str, torch.Tensor], options: argparse.Namespace) -> torch.Tensor:
    """Mean loss of a batch, the products in the frozen weights' dtype."""
    with torch.autocast(options.device, torch.bfloat16, enabled=options.dtype == "bfloat16"):
        return model(**{name: tensor.to(options.device) for name, tensor in batch.items()}).loss.float()


def train(options: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Adapters after some steps of both languages in turn."""
    torch.manual_seed(0)
    model = load(options, None)
    data = [batches(options, language, "train", options.steps // 2 * options.batch_size) for language in FILES]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=0.0)
    for step, batch in enumerate(batch for pair in zip(*data, strict=True) for batch in pair):
        value = loss(model, batch, options)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: loss {value.item():.3f}", flush=True)
    return trainable_state(model)


@torch.no_grad()
def score(model: nn.Module, data: dict[str, list[Any]], options: argparse.Namespace) -> dict[str, float]:
    """Mean loss of a label token, by language."""
    model.eval()
    result = {}
    for language, batches_ in data.items():
        counts = [int((batch["labels"] >= 0).sum()) for batch in batches_]
        losses = [loss(model, batch, options).item() for batch in batches_]
        result[language] = sum(value * count for value, count in zip(losses, counts, strict=True)) / sum(counts)
    return result


def matrix_errors(plain: nn.Module, quantized: nn.Module) -> dict[str, float]:
    """Relative error of the rows of embeddings and head: root of the mean of squares."""
    result = {}
    for name in ("get_input_embeddings", "get_output_embeddings"):
        before, after = (getattr(model, name)().weight[:].float() for model in (plain, quantized))
        result[name.split("_")[1]] = ((after - before).norm() / before.norm()).item()
    return result


def main() -> None:
    """Trains, scores each format, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--validation", type=int, default=200, help="pairs of each language")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"], help="of frozen weights")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    options = parser.parse_args()
    settings = {name: value for name, value in vars(options).items() if name not in ("output", "base", "pairs")}
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    result: dict[str, Any] = {"base": Path(options.base).name, "device_name": device_name(), "versions": versions}
    result |= settings | {"formats": {}}
    state = train(options)
    data = {language: batches(options, language, "validation", options.validation) for language in FILES}
    plain = load(options, None)
    print(f"{'format':<38}{'MiB':>7}{'tr':>8}{'en':>8}  relative error of embeddings, head")
    for name, quantization in FORMATS.items():
        model = load(options, quantization)
        row = {"quantization": quantization and asdict(quantization), "relative_error": matrix_errors(plain, model)}
        row["base_mib"] = frozen_bytes(model) / 2**20
        load_trainable_state(model, state)
        row["loss"] = score(model, data, options)
        result["formats"][name] = row
        write(options.output, result)
        errors = ", ".join(f"{value:.2%}" for value in row["relative_error"].values())
        print(
            f"{name:<38}{row['base_mib']:>7.1f}{row['loss']['tr']:>8.4f}{row['loss']['en']:>8.4f}  {errors}", flush=True
        )


def frozen_bytes(model: nn.Module) -> int:
    """Bytes of the frozen weights."""
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    return count_parameters(model).weight_bytes - trained


if __name__ == "__main__":
    main()
