"""The largest mT5 that trains and validates under a cap on GPU memory.

    python benchmarks/largest_model.py --cap 6 --sizes large xl --batch-sizes 1 8 --output result.json

Each row is a process of its own: an mT5 of a published size with random weights takes three training steps (adapters on
q and v, gradient checkpointing, AdamW) and one validation step with generation, through Seq2SeqModule and Lightning's
loop. The weights are made layer by layer where `from_pretrained` would put them, and in the same formats; nothing is
written to disk. The cap binds PyTorch's allocator; a driver's own few hundred MiB come on top.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import torch
import transformers
from torch import nn
from torch.utils.data import DataLoader
from transformers import GenerationConfig, MT5Config, MT5ForConditionalGeneration

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402
from recipe_rows import is_out_of_memory  # noqa: E402

from datamodules.collate import SummarizationCollator  # noqa: E402
from datamodules.tokenizer import load_tokenizer  # noqa: E402
from lightning_modules import seq2seq  # noqa: E402
from lightning_modules.adaptation import Lora  # noqa: E402
from lightning_modules.generation import Generation  # noqa: E402
from lightning_modules.optimization import Schedule  # noqa: E402
from lightning_modules.quantization import Quantization, linear_4bit, prepare_bitsandbytes  # noqa: E402

# d_model, d_ff, layers of encoder and of decoder, heads, rows (Xue et al. 2021, arXiv:2010.11934, and the published
# configurations); heads have 64 columns. `tiny` is for rehearsals on a CPU.
SIZES = {
    "tiny": (128, 256, 2, 2, 16_128),
    "small": (512, 1024, 8, 6, 250_112),
    "base": (768, 2048, 12, 12, 250_112),
    "large": (1024, 2816, 24, 16, 250_112),
    "xl": (2048, 5120, 24, 32, 250_112),
}
FORMATS = {
    "bf16": None,
    "nf4 layers": Quantization(),
    "nf4 layers and wo": Quantization(wo=True),
    "all nf4": Quantization(wo=True, embedding_bits=4, head_bits=4),
}


def configuration(size: str, kept_rows: int | None) -> MT5Config:
    """An mT5's configuration, of a trimmed vocabulary if `kept_rows` are given."""
    width, inner, layers, heads, rows = SIZES[size]
    return MT5Config(
        vocab_size=kept_rows or rows,
        d_model=width,
        d_ff=inner,
        d_kv=64,
        num_layers=layers,
        num_decoder_layers=layers,
        num_heads=heads,
        feed_forward_proj="gated-gelu",
        decoder_start_token_id=0,
    )


def random_base(config: MT5Config, quantization: Quantization | None, dtype: torch.dtype, device: torch.device) -> Any:
    """What `load_base` returns, without weights to load.

    Args:
        config: Sizes.
        quantization: Format of the linear layers but `wo` and the head; None leaves them in `dtype`.
        dtype: Of everything else.
        device: Where weights are made.
    """
    prepare_bitsandbytes(device)
    with torch.device("meta"):
        model = MT5ForConditionalGeneration(config)
    # Without the layers themselves: they would live on beside their quantised forms.
    for parent in [module for module in model.modules() if not isinstance(module, nn.Linear)]:
        for name, layer in list(parent.named_children()):
            if isinstance(getattr(layer, "weight", None), nn.Parameter) and name != "embed_tokens":
                made = torch.empty(layer.weight.shape, dtype=dtype, device=device)
                # As wide as the products of random unit vectors; norms start at 1.
                made = made.normal_(std=made.shape[-1] ** -0.5) if made.dim() > 1 else made.fill_(1)
                layer.weight = nn.Parameter(made, requires_grad=False)
                if quantization and isinstance(layer, nn.Linear) and name not in ("wo", "lm_head"):
                    setattr(parent, name, linear_4bit(layer, quantization))
    model.set_input_embeddings(model.shared)  # the encoder's and the decoder's, too
    model.is_loaded_in_4bit = quantization is not None  # peft asks for it
    model.config.tie_word_embeddings = False
    model.generation_config = GenerationConfig()
    return model.train()


class OneBatch(L.LightningDataModule):
    """The same random batch for training, again and again, and for validation.

    Args:
        options: Lengths and tokenizer.
        batch_size: Its rows.
    """

    tokenizer_fingerprint, kept_pieces = "none", None
    languages = ("tr", "en")

    def __init__(self, options: argparse.Namespace, batch_size: int) -> None:
        super().__init__()
        self.tokenizer = load_tokenizer(options.tokenizer)
        rows, random = range(batch_size), torch.Generator().manual_seed(0)

        def texts(tokens: int) -> list[list[int]]:
            return [[*torch.randint(300, 8000, (tokens - 1,), generator=random).tolist(), 1] for _ in rows]

        columns: dict[str, Any] = {"id": [str(row) for row in rows], "language": ["tr"] * len(rows)}
        columns |= {"article": ["Bir iki üç."] * len(rows), "summary": ["Bir iki."] * len(rows)}
        columns |= {"input_ids": texts(options.source_tokens), "labels": texts(options.target_tokens)}
        collate = SummarizationCollator(self.tokenizer.pad_token_id, 1, self.languages)
        self.batch = collate((pa.table(columns), None))

    def train_dataloader(self) -> DataLoader:
        """Without end, for all practical purposes."""
        return DataLoader([self.batch] * 1_000_000, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader:
        """One batch."""
        return DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]


class Stages(L.Callback):
    """Notes the peak memory of loading, training and validation, and how far the row came."""

    def __init__(self) -> None:
        self.stage = "loading"
        self.peaks: dict[str, float | None] = {}

    def note(self, following: str) -> None:
        """Ends a stage."""
        cuda = torch.cuda.is_available()
        self.peaks[f"{self.stage}_allocated_mib"] = torch.cuda.max_memory_allocated() / 2**20 if cuda else None
        self.peaks[f"{self.stage}_reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20 if cuda else None
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        self.stage = following

    def on_train_start(self, *_: Any) -> None:
        """The base is loaded."""
        self.note("training")

    def on_validation_start(self, *_: Any) -> None:
        """Training steps are done."""
        self.note("validation")

    def on_validation_end(self, *_: Any) -> None:
        """Summaries are generated."""
        self.note("end")


def measure(options: argparse.Namespace, size: str, format_: str, batch_size: int) -> dict[str, Any]:
    """Trains and validates one model."""
    cuda, quantization, stages = torch.cuda.is_available(), FORMATS[format_], Stages()
    if cuda:
        torch.cuda.set_per_process_memory_fraction(
            options.cap * 2**30 / torch.cuda.get_device_properties(0).total_memory
        )
    seq2seq.load_base = lambda *given: random_base(configuration(size, options.vocabulary), quantization, *given[-2:])  # type: ignore[assignment]
    model = seq2seq.Seq2SeqModule(
        options.tokenizer,
        adaptation="lora" if quantization is None else "qlora",
        lora=Lora(rank=16, targets=["q", "v"]),
        quantization=quantization or Quantization(),
        generation=Generation(max_new_tokens=options.target_tokens, num_beams=options.beams),
        schedule=Schedule("constant", warmup_steps=0),
        gradient_checkpointing=True,
    )
    trainer = L.Trainer(
        accelerator="cuda" if cuda else "cpu",
        devices=1,
        precision="bf16-mixed" if cuda else "32-true",
        max_steps=options.steps,
        val_check_interval=options.steps,
        num_sanity_val_steps=0,
        callbacks=[stages],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    started, error = time.perf_counter(), None
    try:
        trainer.fit(model, OneBatch(options, batch_size))
    except (RuntimeError, ValueError) as exception:
        if not is_out_of_memory(exception):
            raise
        error, stage = str(exception).splitlines()[0], stages.stage
        stages.note("out of memory")
    result = {
        "size": size,
        "format": format_,
        "batch_size": batch_size,
        "fits": error is None,
        "seconds": time.perf_counter() - started,
    }
    if error:
        return result | {"out_of_memory_in": stage, "error": error} | stages.peaks
    loss = trainer.callback_metrics["val/loss"].item()
    return result | {"parameters": vars(model.parameter_count), "val_loss": loss} | stages.peaks


def in_own_process(size: str, format_: str, batch_size: int) -> dict[str, Any]:
    """Measures one row; what is left of a process that ran out of memory ends with it."""
    command = [sys.executable, __file__, *sys.argv[1:], "--row", size, format_, str(batch_size)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        return {"size": size, "format": format_, "batch_size": batch_size, "failed": process.stderr[-2000:]}
    return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    """Measures each row, prints a table, and writes JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES)[1:], choices=list(SIZES))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=list(FORMATS))
    parser.add_argument("--cap", type=float, default=6.0, help="GiB")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1])
    parser.add_argument("--vocabulary", type=int, help="rows of a trimmed vocabulary; all of them by default")
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--tokenizer", default=str(ROOT / "assets" / "tiny-mt5"), help="folder; sizes are not its own")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument(
        "--row", nargs=3, metavar=("SIZE", "FORMAT", "BATCH"), help="measure this row alone and print JSON"
    )
    options = parser.parse_args()
    if options.row:
        size, format_, batch_size = options.row
        print("\n" + json.dumps(measure(options, size, format_, int(batch_size))))
        return
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    result: dict[str, Any] = {"commit": options.commit, "device": device_name(), "versions": versions, "rows": []}
    keys = ("cap", "vocabulary", "source_tokens", "target_tokens", "beams", "steps")
    result |= {key: getattr(options, key) for key in keys}
    for size, format_, batch_size in itertools.product(options.sizes, options.formats, options.batch_sizes):
        row = in_own_process(size, format_, batch_size)
        result["rows"].append(row)
        write(options.output, result)
        verdict = "FAILED" if "failed" in row else "fits" if row["fits"] else f"no: {row['out_of_memory_in']}"
        peaks = ", ".join(f"{k} {v:,.0f}" for k, v in row.items() if k.endswith("_mib") and v is not None)
        print(f"{size:<7}{format_:<20}{batch_size:<4}{verdict:<16}{peaks}{row.get('failed', '')}", flush=True)


if __name__ == "__main__":
    main()
