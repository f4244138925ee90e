"""NanMonitor through the command line; `test_nan_monitor` has the rest, with a tiny module."""

from typing import Any

import pytest
import torch
from command_line import SAVE_EVERY_STEP, configured, last_checkpoint, records, run, run_folder
from interruptions import Crash
from test_nan_monitor import report

from callbacks.nan_monitor import NonFiniteError

SHORT = ("--trainer.max_steps=4", "--trainer.limit_val_batches=0")
LAYER = "decoder.block.0.layer.1.EncDecAttention.k"
PARAMETER = "encoder.block.1.layer.0.SelfAttention.v.lora_B.default.weight"


def fault(place: str, *steps: int, name: str = "", value: str = "nan", microbatch: int = 0) -> dict:
    return configured(
        "faults.PlantFault", place=place, name=name, steps=list(steps), value=value, microbatch=microbatch
    )


def monitor(**settings: Any) -> dict:
    return configured("callbacks.nan_monitor.NanMonitor", **settings)


@pytest.mark.parametrize(
    ("planted", "activations", "kind", "name", "dtype", "counts"),
    [
        (fault("gradient", 2, name=PARAMETER, value="inf"), False, "gradient", PARAMETER, "float32", (0, 1)),
        pytest.param(
            *(fault("activation", 2, name=LAYER), True, "activation", LAYER, "bfloat16", (1, 0)), marks=pytest.mark.slow
        ),
    ],
)
def test_planted_fault_is_caught_and_named(tmp_path, planted, activations, kind, name, dtype, counts):
    watcher = monitor(activations=activations)
    with pytest.raises(NonFiniteError) as stop:
        run("fit", tmp_path, *SHORT, "--trainer.precision=bf16-mixed", callbacks=(planted, watcher))
    folder = run_folder(tmp_path)
    found = report(folder, "step-000002")
    batch = torch.load(folder / "nan" / "step-000002" / "batch.pt", weights_only=True)["batch"]
    assert (found["step"], found["kind"], found["ids"]) == (2, kind, batch["ids"])
    assert found["languages"] == batch["languages"]
    first = found["first"]
    assert first["name"].endswith(name)
    assert (first["dtype"], first["nan"], first["infinite"]) == (dtype, *counts)
    said = str(stop.value)
    for part in ("Step 2 ", *found["ids"], first["name"], dtype, f"--folder {folder / 'nan' / 'step-000002'}"):
        assert part in said
    assert f"--config {folder / 'config.yaml'}" in said


@pytest.mark.slow
def test_resumed_run_counts_on_and_records_the_random_states_of_the_uninterrupted_one(tmp_path):
    skip = monitor(action="skip", max_consecutive_skips=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with pytest.raises(NonFiniteError, match="More than max_consecutive_skips 2 in a row"):
        run("fit", whole, *SHORT, callbacks=(fault("loss", 1, 2, 3), skip))
    with pytest.raises(Crash):
        crash = configured("interruptions.CrashAt", step=3)
        run("fit", cut, *SHORT, callbacks=(fault("loss", 1, 2), skip, crash, *SAVE_EVERY_STEP))
    assert records(cut)["train/skipped_steps"] == {0: 0, 1: 1, 2: 2}
    assert last_checkpoint(cut)["callbacks"]["NanMonitor"] == {"skipped_steps": 2, "consecutive_skips": 2}
    with pytest.raises(NonFiniteError, match="More than max_consecutive_skips 2 in a row"):
        run("fit", cut, "--ckpt_path=last", *SHORT, callbacks=(fault("loss", 3), skip))
    one, other = (torch.load(run_folder(root) / "nan/step-000003/batch.pt", weights_only=True) for root in (whole, cut))
    assert one["batch"]["ids"] == other["batch"]["ids"]
    assert torch.equal(one["random_states"]["cpu"], other["random_states"]["cpu"])
