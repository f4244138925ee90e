from pathlib import Path

import pytest
import torch
from command_line import configured, run, run_folder
from faults import PlantFault, named
from lightning.pytorch.callbacks import LambdaCallback
from rich.console import Console
from safetensors.torch import load_file
from tiny_module import fit

from callbacks.nan_diagnosis import Record, examine
from callbacks.nan_monitor import NanMonitor, NonFiniteError
from callbacks.nan_replay import NanReplay
from train import main

WEIGHT = "decoder.block.0.layer.0.SelfAttention.q.lora_B.default.weight"
FAULTS = (
    configured("faults.PlantFault", place="weight", name=WEIGHT, steps=[1], value="inf"),
    configured("callbacks.nan_monitor.NanMonitor"),
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    """The folder of a run that stopped in its step 1, since a weight had become infinite."""
    root = tmp_path_factory.mktemp("stopped")
    with pytest.raises(NonFiniteError):
        run("fit", root, callbacks=FAULTS)
    return run_folder(root)


def replay(folder: Path, name: str = "step-000001") -> None:
    main(["replay", f"--config={folder / 'config.yaml'}", f"--folder={folder / 'nan' / name}"])


def test_one_command_reproduces_the_fault_and_leaves_no_trace(stopped, capsys, monkeypatch):
    monkeypatch.setattr("datamodules.bilingual.prepare", lambda *args: pytest.fail("loads the corpora"))
    before = {path: path.stat().st_mtime_ns for path in stopped.parent.rglob("*")}
    replay(stopped)
    said = capsys.readouterr().out
    layer = f"model.base_model.model.{WEIGHT.removesuffix('.weight')}"
    assert f"Reproduced: {layer} is not finite again." in said
    first = next(line for line in said.splitlines() if line.startswith("│"))
    assert first.split()[1] == layer
    assert "Gradients not finite" in said
    assert {path: path.stat().st_mtime_ns for path in stopped.parent.rglob("*")} == before


def test_healthy_weights_do_not_reproduce_it(stopped, capsys):
    weights = load_file(stopped / "nan" / "step-000001" / "weights.safetensors")
    named(weights.items(), WEIGHT)[1].zero_()
    record = Record.load(stopped / "nan" / "step-000001")
    Record(record.report, record.batch, record.random_states, weights).save(stopped / "nan" / "mended")
    replay(stopped, "mended")
    assert "Not reproduced: everything is finite." in capsys.readouterr().out


def test_folder_without_a_record_is_refused(tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(ValueError, match=r"has no batch\.pt or weights\.safetensors"):
        Record.load(tmp_path)


def test_forward_pass_is_repeated_with_the_recorded_random_states(tmp_path):
    """A layer that is not finite for one draw in two is found by the replay exactly where it was found in training."""

    def spoil(module, inputs, output):
        return output * (torch.inf if torch.rand(()) < 0.5 else 1.0)

    def plant(trainer, pl_module):
        pl_module.first.register_forward_hook(spoil)

    for seed in range(4):
        torch.manual_seed(seed)
        root = tmp_path / str(seed)
        with pytest.raises(NonFiniteError):
            fit(root, LambdaCallback(on_fit_start=plant), NanMonitor(), steps=12)
        (folder,) = (root / "nan").iterdir()
        torch.manual_seed(100 + seed)
        watcher = NanReplay(Record.load(folder))
        module = fit(root, LambdaCallback(on_fit_start=plant), watcher, steps=1)
        assert [one.name for one in watcher.outputs][:1] == ["first"]
        assert all(torch.equal(module.state_dict()[name], value) for name, value in watcher.record.weights.items())


def test_tensor_is_described_by_its_counts_and_finite_range():
    found = examine(
        "here", torch.tensor([[1.0, torch.nan], [-torch.inf, -3.0], [torch.inf, 2.0]], dtype=torch.bfloat16)
    )
    assert found is not None
    assert (found.nan, found.infinite, found.values) == (1, 2, 6)
    assert (found.smallest, found.largest, found.dtype) == (-3.0, 2.0, "bfloat16")
    assert examine("here", torch.tensor([3e38, -3e38])) is None


def test_gradient_too_large_to_square_is_reproduced_as_such(tmp_path, capsys):
    with pytest.raises(NonFiniteError):
        fit(tmp_path, PlantFault("gradient", "second.weight", steps=[1], value="-1e30"), NanMonitor())
    watcher = NanReplay(Record.load(tmp_path / "nan" / "step-000001"))
    fit(tmp_path, PlantFault("gradient", "second.weight", steps=[0], value="-1e30"), watcher, steps=1)
    watcher.print(Console(width=200))
    said = capsys.readouterr().out
    assert "Recorded: Step 1 cannot be taken: values that are finite" in said
    assert "Gradients too large to square: 1" in said
    assert "Reproduced: second.weight is too large to square again." in said


def test_other_fault_is_told_apart(capsys):
    record = Record(
        {
            "first": {"name": "elsewhere"},
            "kind": "loss",
            "step": 1,
            "microbatch": 0,
            "microbatches": 1,
            "rank": 0,
            "ids": [],
            "languages": [],
        },
        None,
        {},
        {},
    )
    watcher = NanReplay(record)
    watcher.outputs = [examine("here", torch.tensor([torch.nan]))]
    watcher.print(Console(width=200))
    assert "Another fault: here is not finite, but elsewhere is in order." in capsys.readouterr().out
