"""docs/dashboard.md explains every key that is logged, and none that is not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command_line import TINY, configured, run_folder

from reports.curves import read_run

ROOT = Path(__file__).parent.parent
ON_GPU_ONLY = {"perf/peak_memory_gib", "perf/validation_peak_memory_gib", "perf/compilations", "perf/captured_graphs"}
pytestmark = pytest.mark.xdist_group("dashboard")  # one worker, one run
PLACES = r"/(tr|en)$"


def documented() -> set[str]:
    """The keys in the first column of the tables; a range stands for all that it spans."""
    text = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    keys: set[str] = set()
    for cell in re.findall(r"^\| (`(?:train|val|test|perf|data|epoch)\b.*?) \|", text, re.MULTILINE):
        if "…" in cell:
            keys |= {f"test/lead{n}_{key}" for n in (1, 2, 3) for key in ("rouge1", "rouge2", "rougeL", "rougeLsum")}
        else:
            keys |= set(re.findall(r"`([^`.]+)`", cell))  # a name with a dot is a file's
    # Rows that speak of every evaluation name the key of a validation.
    tests = {key.replace("val/", "test/") for key in keys if key.startswith("val/")}
    return {key.replace("<language>", "LANGUAGE").replace("<split>", "SPLIT") for key in keys | tests}


def generic(keys: set[str]) -> set[str]:
    """With languages and splits left open; val/loss/tr is the documented val/loss."""
    found = set()
    for key in keys:
        key = re.sub(r"^data/\w+/", "data/SPLIT/", key)
        evaluated = key.startswith(("val/", "test/"))
        found.add(re.sub(PLACES, "" if evaluated else "/LANGUAGE", key))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with everything on, and its test, in a process that W&B knows nothing of."""
    folder = tmp_path_factory.mktemp("dashboard")
    trainer = yaml.safe_load((ROOT / "configs" / "default.yaml").read_text())["trainer"]
    watchers = trainer["callbacks"] + [configured("callbacks.bertscore.BertScore")]
    watchers[0]["init_args"] = {"action": "skip"}
    flags = [
        f"--config={TINY}",
        f"--trainer.default_root_dir={folder / 'runs'}",
        f"--trainer.callbacks={json.dumps(watchers)}",
        f"--trainer.logger={json.dumps(trainer['logger'])}",
        "--trainer.log_every_n_steps=1",
    ]
    program = (
        "import json, sys, callbacks.bertscore_process as scorer; from train import main\n"
        f"scorer._COMMAND = (sys.executable, {str(ROOT / 'tests' / 'fake_scorer.py')!r}, 'answers')\n"
        "for args in json.loads(sys.argv[1]): main(args)"
    )
    commands = [["fit", *flags, "--trainer.max_epochs=2"], ["test", *flags, "--ckpt_path=last"]]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") and name != "NETRC"}
    environment = {**kept, "HOME": str(folder), "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
    )
    return run_folder(folder / "runs")


def on_wandb(folder: Path) -> set[str]:
    """Keys in the offline record, read back."""
    (record,) = folder.glob("wandb/offline-run-*")
    read = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(record)]
    output = subprocess.run(read, stdout=subprocess.PIPE, check=True).stdout
    records = [json.loads(line) for line in output.splitlines()]
    keys = {key for one in records if "history" in one for key in one["history"]["item"]}
    return {key for key in keys if not key.startswith(("_", "trainer/", "val/summaries"))}


def test_every_logged_key_is_documented_and_every_documented_key_is_logged(run):
    logged = generic(set(read_run(run)) | set(read_run(run / "test")))
    assert logged == documented() - ON_GPU_ONLY


def test_wandb_has_the_same_keys(run):
    # One process, so one W&B run for training and test.
    assert on_wandb(run) == set(read_run(run)) | set(read_run(run / "test"))


def test_every_file_of_a_run_is_documented(run):
    text = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    written = {path.name for path in run.rglob("*.json*")}
    assert {"summaries.jsonl", "environment.json", "results.json", "predictions.jsonl"} <= written
    assert {name for name in written if name not in text and "wandb" not in name and "table" not in name} == set()
