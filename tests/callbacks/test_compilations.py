from pathlib import Path

import pytest
import torch
from command_line import configured, records, run

import lightning_modules.acceleration as acceleration
from lightning_modules.hidden_states import run_block
from lightning_modules.losses import softmax_gradient_

CALLBACKS = (configured("callbacks.compilations.Compilations"),)
FLAGS = ("--trainer.max_steps=2", "--trainer.log_every_n_steps=1", "--trainer.limit_val_batches=0")


def test_compilations_so_far_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch._dynamo.utils.counters.clear()

    def block(*arguments: torch.Tensor) -> torch.Tensor:
        torch._dynamo.utils.counters["stats"]["unique_graphs"] += 1
        return run_block(*arguments)

    monkeypatch.setattr(acceleration, "_compiled", lambda: (block, softmax_gradient_))
    run("fit", tmp_path, *FLAGS, "--model.acceleration.compile=true", callbacks=CALLBACKS)
    logged = records(tmp_path)
    assert logged["perf/compilations"] == {0: 4.0, 1: 8.0}  # 2 + 2 blocks
    assert "perf/captured_graphs" not in logged
