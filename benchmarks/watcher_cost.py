"""What NanMonitor and GradientClipping cost a training step.

    python benchmarks/watcher_cost.py --base DIR --adaptation lora --rounds 20 --output result.json

One process on one device trains one mT5 (random weights if DIR has none) on one random batch through Lightning's own
loop. The variants take turns, block by block, in another order each round; the clock of a block stops when the device
has finished it. A variant's cost is the median over the rounds of its time against that of `none` in the same round.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import lightning as L
import torch
import transformers
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from main_job import current_commit, device_name, write  # noqa: E402

from callbacks.gradient_clipping import GradientClipping  # noqa: E402
from callbacks.nan_monitor import NanMonitor  # noqa: E402
from datamodules.tokenizer import load_tokenizer  # noqa: E402
from lightning_modules.acceleration import Acceleration  # noqa: E402
from lightning_modules.optimization import Schedule  # noqa: E402
from lightning_modules.seq2seq import Seq2SeqModule  # noqa: E402


class TorchClipping(L.Callback):
    """What `trainer.gradient_clip_val` does, for comparison."""

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Clips."""
        clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)


VARIANTS: dict[str, list[L.Callback]] = {
    "none": [],
    "clip_grad_norm_": [TorchClipping()],
    "GradientClipping": [GradientClipping()],
    "GradientClipping, percentile": [GradientClipping("percentile", 10)],
    "NanMonitor": [NanMonitor()],
    "NanMonitor, activations": [NanMonitor(activations=True)],
    "NanMonitor and GradientClipping": [NanMonitor(), GradientClipping()],
}
HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)


class TakeTurns(L.Callback):
    """Hands each hook on to the callbacks of the variant whose turn it is, and times blocks of steps.

    Args:
        block: Steps of a block.
        rounds: Blocks of each variant, after one that is not counted.
        variants: Their names.
    """

    def __init__(self, block: int, rounds: int, variants: list[str]) -> None:
        self.block = block
        shuffled = random.Random(0)
        self.turns = [name for _ in range(rounds + 1) for name in shuffled.sample(variants, len(variants))]
        self.times: dict[str, list[float]] = {name: [] for name in variants}
        self.step = 0
        for hook in HOOKS:
            setattr(self, hook, self._handing_on(hook))

    def _handing_on(self, hook: str) -> Any:
        def hand_on(trainer: L.Trainer, pl_module: L.LightningModule, *args: Any) -> None:
            if hook == "on_train_batch_start" and self.step % self.block == 0:
                self._begin(trainer, pl_module)
            for callback in self.active:
                getattr(callback, hook)(trainer, pl_module, *args)

        return hand_on

    def _begin(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.active = VARIANTS[self.turns[self.step // self.block]]
        for callback in self.active:
            callback.on_train_start(trainer, pl_module)
        _wait(pl_module.device)
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Stops the clock at a block's end."""
        self.step += 1
        if self.step % self.block == 0:
            _wait(pl_module.device)
            self.times[self.turns[self.step // self.block - 1]].append(
                (time.perf_counter() - self.started) / self.block
            )
            for callback in self.active:
                callback.on_train_end(trainer, pl_module)


class OneBatch(L.LightningDataModule):
    """The same random batch, again and again.

    Args:
        base: Folder with the tokenizer.
        rows: Rows.
        source: Tokens of each source.
        target: Tokens of each target.
    """

    tokenizer_fingerprint, kept_pieces = "none", None
    languages = ("tr", "en")

    def __init__(self, base: str, rows: int, source: int, target: int) -> None:
        super().__init__()
        self.tokenizer, self.moved = load_tokenizer(base), None
        generator = torch.Generator().manual_seed(0)
        self.batch = {
            "input_ids": torch.randint(300, 8000, (rows, source), generator=generator),
            "attention_mask": torch.ones(rows, source, dtype=torch.int64),
            "labels": torch.randint(300, 8000, (rows, target), generator=generator),
            "ids": [str(row) for row in range(rows)],
            "languages": ["tr", "en"] * (rows // 2) + ["tr"] * (rows % 2),
        }
        labels = self.batch["labels"]
        self.batch |= {
            "decoder_input_ids": torch.cat([torch.zeros(rows, 1, dtype=torch.int64), labels[:, :-1]], dim=1),
            "label_positions": torch.arange(labels.numel()),
            "label_ids": labels.flatten(),
            "language_index": torch.arange(rows) % 2,
        }

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Once: what is measured are steps."""
        if self.moved is None:
            self.moved = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return self.moved

    def train_dataloader(self) -> DataLoader:
        """Without end, for all practical purposes."""
        return DataLoader([self.batch] * 1_000_000, batch_size=None)  # type: ignore[arg-type]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summarize(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Milliseconds a step, and the cost against `none` in percent of the same round, the first round left out."""
    result = {}
    rounds = min(len(blocks) for blocks in times.values())
    for name, blocks in ((name, blocks[:rounds]) for name, blocks in times.items()):
        costs = [100 * (own / none - 1) for own, none in zip(blocks[1:], times["none"][1:rounds], strict=True)]
        milliseconds = [1000 * block for block in blocks[1:]]
        low, _, high = quantiles(costs, n=4)
        result[name] = {
            "ms_per_step": median(milliseconds),
            "ms_least": min(milliseconds),
            "ms_greatest": max(milliseconds),
            "cost_percent": median(costs),
            "cost_percent_quartile_1": low,
            "cost_percent_quartile_3": high,
        }
    return result


def train(options: argparse.Namespace) -> TakeTurns:
    """Takes all the steps."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Layers that somebody watches are not replayed as a graph, for the other variants neither.
    variants = [name for name in VARIANTS if options.plain or "activations" not in name]
    turns = TakeTurns(options.block, options.rounds, variants)
    trainer = L.Trainer(
        accelerator=device,
        devices=1,
        precision="bf16-mixed" if device == "cuda" else "32-true",
        max_steps=len(turns.turns) * options.block,
        max_time={"seconds": options.seconds},
        callbacks=[turns],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        limit_val_batches=0,
    )
    model = Seq2SeqModule(
        options.base,
        adaptation=options.adaptation,
        schedule=Schedule("constant", warmup_steps=0),
        acceleration=Acceleration(compile=False, cuda_graphs=False) if options.plain else Acceleration(),
    )
    trainer.fit(model, OneBatch(options.base, options.batch_size, options.source_tokens, options.target_tokens))
    return turns


def main() -> None:
    """Measures, prints a table, and writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True)
    parser.add_argument("--adaptation", default="lora", choices=["full", "lora", "dora", "qlora"])
    parser.add_argument("--plain", action="store_true", help="steps without compilation and CUDA graphs")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--source-tokens", type=int, default=512)
    parser.add_argument("--target-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20, help="blocks of each variant that count; at least 2")
    parser.add_argument("--block", type=int, default=20, help="steps of a block")
    parser.add_argument("--seconds", type=int, default=600, help="stop then, and count the rounds that are whole")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--commit", default=current_commit(), help="of the code, where the repository is absent")
    options = parser.parse_args()
    times = train(options).times
    results = summarize(times)
    settings = {name: value for name, value in vars(options).items() if name not in ("output", "base", "commit")}
    write(
        options.output,
        {
            "commit": options.commit,
            "device": device_name(),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "base": Path(options.base).name,
            **settings,
            "rounds": min(len(blocks) for blocks in times.values()) - 1,
            "variants": results,
        },
    )
    print(f"{'variant':<34}{'ms/step':>9}{'least':>9}{'greatest':>9}{'cost':>8}  quartiles")
    for name, row in results.items():
        times = "".join(f"{row[key]:>9.2f}" for key in ("ms_per_step", "ms_least", "ms_greatest"))
        low, high = row["cost_percent_quartile_1"], row["cost_percent_quartile_3"]
        print(f"{name:<34}{times}{row['cost_percent']:>7.2f}%  {low:.2f} to {high:.2f}%")


if __name__ == "__main__":
    main()
