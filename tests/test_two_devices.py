"""Two devices learn and score what one device does with as many rows a step."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from unittest import mock

import lightning as L
import pytest
import torch
from interruptions import Crash, CrashAt
from lightning.pytorch.loggers import CSVLogger

from callbacks.last_checkpoint import LastCheckpoint
from callbacks.random_state import RandomState
from callbacks.results_writer import ResultsWriter
from datamodules.bilingual import BilingualDataModule
from datamodules.sources import Columns, Limits, SummarizationSource
from lightning_modules.acceleration import Acceleration
from lightning_modules.adaptation import Lora
from lightning_modules.checkpoint_file import OzetCheckpointIO
from lightning_modules.generation import Generation
from lightning_modules.optimization import Schedule
from lightning_modules.seq2seq import Seq2SeqModule
from reports.curves import read_run
from reports.results import read_predictions
from train import Trainer

pytestmark = pytest.mark.xdist_group("two devices")  # one process trains for all of these tests
ROOT = Path(__file__).parent.parent
# 25 training rows: an epoch's last batch has one row, and the second device none. 7 validation rows, 5 test rows.
LIMITS = {"tr": Limits(train=13, validation=4, test=3), "en": Limits(train=12, validation=3, test=2)}
STEPS = 2 * 4


def build(folder, base, adaptation, accelerator, devices, *callbacks, rows=8, accumulated=1):
    """`rows` is what an optimizer step takes, over all devices and accumulated batches."""
    L.seed_everything(0, verbose=False)
    columns = Columns(id="id", split="split")
    data = BilingualDataModule(
        [
            SummarizationSource(code, str(ROOT / f"assets/quickstart/{code}.jsonl"), columns=columns, limits=limits)
            for code, limits in LIMITS.items()
        ],
        tokenizer=str(base),
        max_source_tokens=64,
        max_target_tokens=64,  # summaries of many lengths: a mean of the devices' means would be another
        batch_size=rows // devices // accumulated,
        eval_batch_size=4 // devices,
        num_workers=0,
        num_proc=1,
    )
    model = Seq2SeqModule(
        str(base),
        adaptation=adaptation,
        lora=Lora(rank=4, alpha=8, dropout=0.0),
        generation=Generation(max_new_tokens=4),
        # Its steps show the size of gradients, Adam's hardly more than their direction.
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.3),
        schedule=Schedule(name="constant", warmup_steps=2),
        acceleration=Acceleration(compile=False),  # would take longer than all the rest
    )
    trainer = Trainer(
        default_root_dir=folder,
        accelerator=accelerator,
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
        use_distributed_sampler=False,
        precision="32-true",
        max_epochs=2,
        accumulate_grad_batches=accumulated,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=CSVLogger(folder, "metrics"),
        callbacks=[RandomState(), *callbacks],
        plugins=[OzetCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer, model, data


def train(*settings, ckpt_path=None, crash=(), **sizes) -> None:
    trainer, model, data = build(*settings, LastCheckpoint(1), *crash, **sizes)
    trainer.fit(model, data, ckpt_path=ckpt_path)


def assert_same_weights(run: Path, expected: Path) -> None:
    own, other = (torch.load(folder / "checkpoints" / "last.ckpt") for folder in (run, expected))
    assert own["global_step"] == other["global_step"]
    for name, weight in other["state_dict"].items():
        assert torch.allclose(own["state_dict"][name], weight, rtol=0, atol=1e-5), name


def on_two_devices(root: Path, base: Path, accelerator: str) -> None:
    """What both processes do: Lightning starts this script once more for the second."""
    train(root / "full", base, "full", accelerator, 2)
    no_graphs = mock.patch.object(Acceleration, "resolved", return_value=Acceleration(compile=False, cuda_graphs=False))
    as_with_graphs = mock.patch.object(Seq2SeqModule, "averages_gradients", True)
    for name, patch in (("hooks", no_graphs), ("averaged", as_with_graphs)):
        with patch:
            train(root / name, base, "full", accelerator, 2, accumulated=2)
    lora = (root / "lora", base, "lora", accelerator, 2)
    with suppress(Crash):
        train(*lora, crash=(CrashAt(2),))
    newest = root / "lora" / "checkpoints" / "last.ckpt"
    train(*lora, ckpt_path=newest)
    trainer, model, data = build(*lora, ResultsWriter())
    trainer.test(model, data, ckpt_path=newest, verbose=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory, random_mt5) -> Path:
    folder = shutil.copytree(random_mt5, tmp_path_factory.mktemp("base") / "without-dropout")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dropout_rate": 0.0}))
    return folder


@pytest.fixture(scope="module", params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def accelerator(request) -> str:
    if request.param == "gpu" and torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    return request.param


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory, base, accelerator) -> Path:
    root = tmp_path_factory.mktemp("two_devices")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = os.environ | {"PYTHONPATH": path, "HF_DATASETS_CACHE": str(root / "cache")}
    command = [sys.executable, __file__, str(root), str(base), accelerator]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return root


@pytest.mark.slow
@pytest.mark.parametrize("adaptation", ["full", "lora"])
def test_losses_scores_and_weights_are_those_of_one_device(two_devices, tmp_path, base, adaptation, accelerator):
    train(tmp_path, base, adaptation, accelerator, 1)
    own, expected = read_run(two_devices / adaptation), read_run(tmp_path)
    for key in ("train/loss", "train/loss/tr", "train/loss/en", "val/loss", "val/loss/tr", "val/rougeL/en"):
        assert own[key] == [(step, pytest.approx(value, rel=1e-4, nan_ok=True)) for step, value in expected[key]], key
    assert len(own["train/loss"]) == STEPS
    assert_same_weights(two_devices / adaptation, tmp_path)


@pytest.mark.slow
def test_accumulated_batches_teach_what_one_large_batch_does(tmp_path, base):
    for accumulated in (1, 4):  # an epoch of one step: all 25 rows, or 8, 8, 8 and 1
        train(tmp_path / f"{accumulated}", base, "full", "cpu", 1, rows=32, accumulated=accumulated)
    assert_same_weights(tmp_path / "4", tmp_path / "1")


@pytest.mark.slow
def test_gradients_averaged_once_a_step_teach_what_ddp_does(two_devices):
    assert_same_weights(two_devices / "averaged", two_devices / "hooks")


@pytest.mark.slow
def test_every_row_is_tested_exactly_once(two_devices):
    rows = [(row["language"], row["id"]) for row in read_predictions(two_devices / "lora/test/predictions.jsonl")]
    assert len(rows) == len(set(rows)) == 5


if __name__ == "__main__":
    on_two_devices(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
