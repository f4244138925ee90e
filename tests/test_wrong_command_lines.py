"""Every wrong command line of `wrong_command_lines.txt` is answered with exactly its one sentence."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

import compare
import export
import record_attention
import summarize
import train
from commands.failures import answer

ROOT = Path(__file__).parent.parent


class CachedCLI(train.OzetCLI):
    """Builds its parsers once: that takes longer than a command line's answer."""

    built: ClassVar[dict[str, Any]] = {}

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        """Take the parsers of the first command line."""
        if not self.built:
            before = set(vars(self))
            super().setup_parser(*args, **kwargs)
            self.built.update({name: value for name, value in vars(self).items() if name not in before})
        vars(self).update(self.built)


MAINS: dict[str, Callable] = {
    "train.py": lambda arguments: train.main(arguments, CachedCLI),
    "compare.py": compare.main,
    "export.py": export.main,
    "record_attention.py": record_attention.main,
    "summarize.py": summarize.main,
}
TINY = "--config tests/conf/tiny.yaml --trainer.default_root_dir={tmp}/runs"
FILES = {
    "misspelt.yaml": b"model:\n  init_args:\n    adaptaton: lora\n",
    "unknown_part.yaml": b"modle:\n  init_args: {adaptation: lora}\n",
    "twice.yaml": b"data:\n  init_args:\n    batch_size: 4\n    batch_size: 8\n",
    "unclosed.yaml": b"data: [\n",
    "tab.yaml": b"data:\n\tinit_args: 1\n",
    "empty.yaml": b"",
    "text.yaml": b"adaptation lora\n",
    "latin1.yaml": "model: ş\n".encode("iso-8859-9"),
    "kwargs.yaml": b"data: {class_path: datamodules.bilingual.BilingualDataModule, dict_kwargs: {batch_size: 1}}\n",
    "file": b"",
}
BLOCKS = (Path(__file__).parent / "wrong_command_lines.txt").read_text(encoding="utf-8").strip().split("\n\n")
ROWS = dict(block.split("\n") for block in BLOCKS)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["train.py"])
    return tmp_path


def said(line: str, folder: Path, capsys: pytest.CaptureFixture) -> str:
    """What a command writes to standard error, and its exit code."""
    program, *arguments = shlex.split(line.replace("{tiny}", TINY).replace("{tmp}", str(folder)))
    with pytest.raises(SystemExit) as stop, mock.patch.dict(os.environ):
        answer(lambda: MAINS[program](arguments))
    code = stop.value.code
    text, code = (code, 1) if isinstance(code, str) else (capsys.readouterr().err.strip(), code)
    assert "Traceback" not in text
    return f"{code} {text}".replace(str(folder), "{tmp}").replace(os.path.relpath(folder), "{tmp}")


@pytest.mark.parametrize("line", ROWS)
def test_a_wrong_command_line_is_answered_with_one_sentence(line, folder, capsys):
    assert said(line, folder, capsys) == ROWS[line]
    assert not (folder / "runs").exists() or not list((folder / "runs").rglob("*.ckpt"))


def test_there_are_many_and_each_answer_is_short():
    assert len(ROWS) >= 80
    assert {row.split()[0] for row in ROWS} == set(MAINS)
    assert max(len(row) for row in ROWS.values()) < 330
