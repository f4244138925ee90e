"""Pairs for the tiny model are packed, unpacked and trained on by the commands that its benchmark states."""

import json
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from command_line import parser

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import tiny_mt5  # noqa: E402

TEXT = (
    "The ferry of town {0} waited outside the harbour until {0} on Friday. It rained {0} times. "
    "Nobody in town {0} knew why the ferry waited outside the harbour."
)


@pytest.fixture
def archive(tmp_path) -> Path:
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(TEXT.format(number) + "\n" for number in range(80)))
    source = {"path": str(texts), "gap_sentences": {}, "hold_out": 0.1}
    content = {"sources": [{"language": "en"} | source, {"language": "it"} | source]}
    (tmp_path / "texts.yaml").write_text(yaml.safe_dump(content))
    output = tmp_path / "pairs.tar.xz"
    arguments = ["pairs", f"--texts={tmp_path / 'texts.yaml'}", f"--output={output}", "--limit=20", "--judged=3"]
    tiny_mt5.main(arguments)
    return output


def test_archive_holds_so_many_pairs_of_each_split(archive):
    with tarfile.open(archive) as opened:
        assert opened.getnames() == ["en.jsonl"]  # the Italian texts are the English ones: duplicates
        rows = [json.loads(line) for line in opened.extractfile("en.jsonl")]
    assert all(row.keys() == {"id", "split", "article", "summary"} for row in rows)
    counts = [sum(row["split"] == split for row in rows) for split in ("train", "validation", "test")]
    assert counts == [20, 3, 3]


def test_training_is_started_on_the_pairs_and_the_best_model_exported(archive, tmp_path, monkeypatch):
    commands = []

    def finish(*command):
        commands.append([str(part) for part in command])
        metrics = tmp_path / "model-runs" / "run" / "metrics" / "version_0"
        metrics.mkdir(parents=True, exist_ok=True)
        (metrics / "metrics.csv").write_text("step\n")
        (tmp_path / "model").mkdir(exist_ok=True)

    monkeypatch.setattr(tiny_mt5, "_python", finish)
    tiny_mt5.main(["train", f"--pairs={archive}", f"--output={tmp_path / 'model'}", "--trainer.max_steps=20"])
    (script, *fit), export = commands
    config = parser().parse_args(fit).fit
    assert script == "train.py"
    assert [source["language"] for source in config.data.init_args.sources] == ["en"]
    assert (config.trainer.max_steps, config.model.init_args.adaptation) == (20, "full")
    assert export == ["export.py", str(tmp_path / "model-runs/run"), "--output", str(tmp_path / "model")]
    assert (tmp_path / "model/metrics.csv").is_file()


def test_unknown_flags_of_pairs_are_refused(tmp_path):
    with pytest.raises(SystemExit):
        tiny_mt5.main(["pairs", "--texts=a.yaml", f"--output={tmp_path / 'a'}", "--trainer.max_steps=2"])
