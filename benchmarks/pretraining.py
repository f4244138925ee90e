"""Which optimizer pretrains best in equal time: speed, share of the matrix rate, and validation loss by language.

    python benchmarks/pretraining.py --text tr=tr.txt.zst en=en.txt.zst it=it.txt.zst --seconds 60 --output out.json

Each row is a process of its own. Its time counts from step `WARM_UP` on, without validations; the learning rate rises
over the first 5% of it and falls linearly to 0 at its end, whatever number of steps that makes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
import transformers
from lightning.pytorch.callbacks import Callback

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

from main_job import current_commit, device_name, write  # noqa: E402
from step_flops import forward_flops, matrix_rate  # noqa: E402

from callbacks.gradient_clipping import GradientClipping  # noqa: E402
from callbacks.nan_monitor import NanMonitor  # noqa: E402
from datamodules.corpus import CorpusDataModule  # noqa: E402
from datamodules.corpus_sources import CorpusSource  # noqa: E402
from lightning_modules.initialization import Sizes  # noqa: E402
from lightning_modules.muon import MuonWithAdamW  # noqa: E402
from lightning_modules.optimization import Schedule  # noqa: E402
from lightning_modules.span_corruption import SpanCorruptionModule  # noqa: E402

WARM_UP = 20  # steps in which kernels are compiled and captured, at a rate that changes next to nothing
_RISE = 0.05

_adamw = partial(torch.optim.AdamW, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
# transformers' Adafactor, tensor by tensor, took 14 times as long a step as Muon.
_adafactor = partial(torch.optim.Adafactor, foreach=True)
_muon = partial(MuonWithAdamW, betas=(0.9, 0.98))
ROWS: dict[str, Callable[[Iterable[Any]], torch.optim.Optimizer]] = {
    **{f"AdamW {rate:g}": partial(_adamw, lr=rate) for rate in (1e-3, 2e-3, 4e-3)},
    **{f"Adafactor {rate:g}": partial(_adafactor, lr=rate) for rate in (5e-3, 1e-2, 2e-2)},
    **{f"Muon {rate:g}": partial(_muon, lr=2e-3, muon_lr=rate) for rate in (2e-3, 4e-3, 8e-3)},
}


class TimeBudget(Callback):
    """Ends training after so many seconds, and lets the learning rate follow the time.

    Args:
        seconds: From the end of the warm-up, without validations.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent, self.steps, self.tokens = 0.0, 0, 0
        self.points: list[dict[str, float]] = []
        self._since: float | None = None

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        """Sets the rates of the step."""
        if trainer.global_step >= WARM_UP and self._since is None:
            _wait()
            self._since = time.perf_counter()
        share = min(self._elapsed() / self.seconds, 1.0)
        factor = min(share / _RISE, (1 - share) / (1 - _RISE)) if self._since else 1e-3
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * max(factor, 1e-3)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """Counts, and ends training."""
        self.tokens += batch["tokens"]
        self.steps += self._since is not None
        if trainer.global_step % 10 == 0:
            _wait()  # else the host would run ahead of the time
        if self._elapsed() >= self.seconds:
            trainer.should_stop = True

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the clock."""
        _wait()
        self.spent, self._since = self._elapsed(), None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keeps the losses."""
        losses = {key: float(value) for key, value in trainer.callback_metrics.items() if key.startswith("val/loss")}
        self.points.append({"tokens": self.tokens, "seconds": round(self.spent, 2), "steps": self.steps} | losses)

    def _elapsed(self) -> float:
        return self.spent + (time.perf_counter() - self._since if self._since is not None else 0.0)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Trains one row."""
    torch.set_float32_matmul_precision("high")
    L.seed_everything(0, verbose=False)
    data = CorpusDataModule(
        [CorpusSource(*text.split("=", 1), column=options.column) for text in options.text],
        tokenizer=options.base,
        input_tokens=options.input_tokens,
        batch_size=options.batch_size,
        eval_batch_size=options.batch_size,
        temperature=1 / 0.3,
        validation_blocks=options.validation_blocks,
        cache=options.cache,
        num_workers=options.workers,
    )
    module = SpanCorruptionModule(
        options.base,
        from_scratch=Sizes(*options.sizes),
        optimizer=ROWS[options.only],
        schedule=Schedule("constant", warmup_steps=0),
    )
    budget = TimeBudget(options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            default_root_dir=folder,
            devices=1,
            precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
            max_epochs=-1,
            max_steps=10**6,
            val_check_interval=options.every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            callbacks=[NanMonitor(), GradientClipping(), budget],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        if budget.points[-1:] == [] or budget.points[-1]["steps"] < budget.steps:
            trainer.validate(module, datamodule=data, verbose=False)
    lengths, rows = data.lengths, options.batch_size
    flops = 3 * forward_flops(module.model.config, [lengths.inputs] * rows, [lengths.targets] * rows)
    rate = budget.steps / budget.spent
    return {
        "row": options.only,
        "parameters": sum(parameter.numel() for parameter in module.parameters()),
        "steps_per_s": rate,
        "tokens_per_s": rate * rows * lengths.raw,
        "matrix_share": rate * flops / matrix_rate(options.matrix_size),
        "points": budget.points,
    }


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def table(rows: Iterable[dict[str, Any]]) -> str:
    """One line a row, with the losses of its last validation."""
    lines = []
    for row in rows:
        last = row["points"][-1]
        losses = "  ".join(f"{key.removeprefix('val/')} {last[key]:.3f}" for key in last if key.startswith("val/"))
        speed = f"{row['tokens_per_s'] / 1e6:6.3f} M tokens/s  matrix rate {row['matrix_share']:5.1%}"
        lines.append(f"{row['row']:<18}{speed}  {last['tokens'] / 1e6:7.1f} M tokens  {losses}")
    return "\n".join(lines)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", required=True, help="LANGUAGE=FILE or LANGUAGE=folder of tokens")
    parser.add_argument("--column", default="text")
    parser.add_argument("--base", default=str(ROOT / "assets/tiny-mt5"), help="folder of the tokenizer")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 768, 4, 4], help="d_model d_ff layers heads")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--every", type=int, default=500, help="steps between validations")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--input-tokens", type=int, default=512)
    parser.add_argument("--validation-blocks", type=int, default=128)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--cache", help="folder for the encoded texts")
    parser.add_argument("--matrix-size", type=int, default=8192)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", choices=ROWS, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures all rows, each in a process, or one of them in this process."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    if options.only:
        write(options.output, measure(options))
        return
    result: dict[str, Any] = {"device": device_name(), "commit": options.commit, "arguments": arguments, "rows": []}
    result["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    for row in options.rows:
        part = options.output.with_suffix(".row.json")
        command = [sys.executable, __file__, *arguments, f"--only={row}", f"--output={part}"]
        if subprocess.run(command, check=False).returncode:
            print(f"{row} failed", flush=True)
            continue
        result["rows"].append(json.loads(part.read_text()))
        part.unlink()
        write(options.output, result)
        print(table(result["rows"][-1:]), flush=True)
    print(table(sorted(result["rows"], key=lambda row: row["points"][-1]["val/loss"])))


if __name__ == "__main__":
    main()
