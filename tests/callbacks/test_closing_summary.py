"""Training ends with summaries of the best step, by whatever step the run ended."""

import json
from pathlib import Path

import lightning as L
import pytest

from callbacks.best_checkpoint import BestCheckpoint
from callbacks.closing_summary import ClosingSummary


def row(step: int, language: str, number: int) -> dict:
    name = f"{language}-{number}"
    return {"step": step, "language": language, "id": name, "reference": f"ref {name}", "generated": f"{name}@{step}"}


def printed(folder: Path, capsys: pytest.CaptureFixture, **settings) -> str:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    best = BestCheckpoint(**settings)
    trainer = L.Trainer(accelerator="cpu", default_root_dir=folder, callbacks=[best], **quiet)
    best.best_model_path = str(folder / "checkpoints" / best.format_checkpoint_name({"step": 8}))
    ClosingSummary(examples=2).teardown(trainer, None, "fit")
    return capsys.readouterr().out


@pytest.fixture
def validated(tmp_path):
    rows = [row(step, language, number) for step in (4, 8, 12) for language in ("tr", "it") for number in range(3)]
    (tmp_path / "summaries.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return tmp_path


def test_summaries_are_those_of_the_best_step(validated, capsys):
    out = printed(validated, capsys)
    assert "Italian, summaries after step 8" in out
    assert "Turkish, summaries after step 8" in out
    assert all(name in out for name in ("it-0@8", "tr-1@8"))
    assert not any(name in out for name in ("tr-2@8", "tr-1@4", "tr-1@12"))


def test_what_the_base_wrote_stands_between_reference_and_summary(validated, capsys):
    with (validated / "summaries.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row(0, "tr", 1)) + "\n")
    lines = printed(validated, capsys).splitlines()
    place = lines.index("tr-1 reference: ref tr-1")
    assert [line.strip() for line in lines[place + 1 : place + 3]] == ["before:    tr-1@0", "after:     tr-1@8"]
    assert sum("before:" in line for line in lines) == 1


@pytest.mark.parametrize("filename", ["{epoch}", "best"])
def test_summaries_are_the_last_where_no_name_tells_the_best_step(validated, capsys, filename):
    out = printed(validated, capsys, filename=filename)
    assert "tr-1@12" in out
    assert "tr-1@8" not in out


def test_without_summaries_the_run_is_named(tmp_path, capsys):
    out = printed(tmp_path, capsys)
    assert tmp_path.name in out
    assert "after step" not in out
