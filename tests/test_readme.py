"""The commands of README.md exist."""

import re
import shlex
import sys
from pathlib import Path
from unittest import mock

import pytest
from command_line import parser

import compare
import export
import record_attention
import summarize
from reports.significance import main as compare_predictions
from train import main

ROOT = Path(__file__).parent.parent


def commands(start: str, file: str = "README.md") -> list[str]:
    """The lines of a file's bash blocks that begin so; never none."""
    text = (ROOT / file).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = "".join(re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
    found = [line for line in lines if line.startswith(start)]
    assert found, start
    return found


def refused(command: str) -> bool:
    arguments = shlex.split(command, comments=True)[2:]
    try:
        parser().parse_args(arguments)
    except SystemExit as stop:
        return bool(arguments and stop.code)  # without arguments: see below
    return False


def test_make_targets_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {word for line in commands("make ") for word in shlex.split(line, comments=True)[1:] if "=" not in word}
    assert named <= targets


def test_commands_of_train_are_understood():
    assert [command for command in commands("python train.py") if refused(command)] == []


def test_commands_of_gap_sentences_are_understood():
    config = "python train.py fit --config configs/pretrain/gap_sentences.yaml"
    found = commands(config, "docs/pretraining.md")
    assert all("keep_clear_of" in command for command in found)
    assert [command for command in found if refused(command)] == []


def test_without_arguments_the_quickstart_is_trained(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    with mock.patch("train.OzetCLI") as cli:
        main()
    arguments = cli.call_args.kwargs["args"]
    assert arguments == ["fit", "--config", str(ROOT / "configs/quickstart.yaml")]
    assert parser().parse_args(arguments).fit.model.init_args.base == "assets/tiny-mt5"


def test_commands_of_reports_are_understood():
    for command in commands("python -m reports.significance"):
        with pytest.raises(ValueError, match=r"Cannot read RUN_A/test/predictions\.jsonl"):
            compare_predictions(shlex.split(command)[3:])


def test_commands_that_take_a_run_ask_for_it():
    for command in commands("python export.py"):
        with pytest.raises(ValueError, match="'RUN'"):
            export.main(shlex.split(command)[2:])
    for command in commands("python summarize.py RUN"):
        with pytest.raises((ValueError, OSError), match=r"news\.jsonl"):
            summarize.main(shlex.split(command)[2:])


def test_the_first_summary_is_the_one_shown(capsys):
    (command,) = commands("python summarize.py assets/")
    summarize.main(shlex.split(command, comments=True)[2:])
    shown = (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")
    assert f"**{capsys.readouterr().out.strip()}**" in shown


def test_commands_that_compare_are_understood(monkeypatch, capsys):
    monkeypatch.setattr(compare, "check", lambda study: None)  # the shipped studies' flags are read by another test
    for command in commands("python compare.py run"):
        assert compare.main(shlex.split(command)[2:]) == 0
        assert "20 trainings" in capsys.readouterr().out
    for command in commands("python compare.py report"):
        with pytest.raises(ValueError, match="runs/studies/adaptation"):
            compare.main(shlex.split(command)[2:])
    for command in commands("python record_attention.py"):
        with pytest.raises(ValueError, match="RUN_A"):
            record_attention.main(shlex.split(command)[2:])
