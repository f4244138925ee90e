"""`summarize.py` through its command line, with a model of random weights."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from random_model import write_random_model

import summarize
from lightning_modules.exported_folder import ExportRecord
from lightning_modules.trained_model import load_trained
from summarize import main

TEXT = "Vapur seferleri şiddetli fırtına yüzünden bütün gün durduruldu."


@pytest.fixture(scope="module")
def model(tmp_path_factory, random_mt5) -> str:
    folder = write_random_model(random_mt5, tmp_path_factory.mktemp("model"))
    (folder / "generation_config.json").write_text('{"max_new_tokens": 6}')
    ExportRecord(max_source_tokens=64, languages=["tr", "en", "it"]).write(folder)
    return str(folder)


@pytest.fixture
def loaded_once(model, monkeypatch):
    """Loading takes longer than all else here."""
    trained = load_trained(model, torch.device("cpu"))
    monkeypatch.setattr(summarize, "load_trained", lambda path, device: trained)
    return trained


@pytest.fixture
def articles(tmp_path, quickstart) -> Path:
    """25 rows: long and short ones, and bad ones."""
    rows = [json.loads(line)["article"] for line in (quickstart / "tr.jsonl").read_text().splitlines()[:20]]
    rows[3:3] = ["", None, 7, TEXT]
    lines = [json.dumps({"article": row, "id": f"row-{number}"}) for number, row in enumerate(rows)]
    lines.insert(11, '{"article": "cut of')
    path = tmp_path / "articles.jsonl"
    path.write_text("\n".join(lines))
    return path


def results(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def stdin(monkeypatch):
    def put(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return put


def test_standard_output_holds_nothing_but_the_summary(model, stdin, capfd):
    stdin(TEXT.encode())
    main([model, "--device=cpu"])
    printed = capfd.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert "1 articles: 1 summarised, 0 passed over." in printed.err


def test_lines_correspond_to_rows_and_every_bad_row_is_reported(loaded_once, articles, capsys):
    main(["model", str(articles), "--id-column=id"])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [number for number, line in enumerate(lines) if not line] == [3, 4, 5, 11]
    assert len(lines) == 25
    for report in (
        "passed over: row-3: empty_article",
        "passed over: row-5: not_text article is a int",
        f"passed over: {articles}:12: unreadable",
        "25 articles: 21 summarised, 4 passed over.",
        "Passed over, empty_article: 2 (the article is missing or blank).",
        "20 cut at the model's input of 64 tokens; `--long chunk` reads all.",
        "Warning, unended: 21 (the summary was cut off at max_new_tokens before it ended).",
    ):
        assert report in printed.err


def test_many_bad_rows_are_counted_rather_than_all_named(loaded_once, tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text("{\n" * 30 + json.dumps({"article": TEXT}))
    main(["model", str(path), f"--output={tmp_path / 'out.jsonl'}"])
    report = capsys.readouterr().err
    assert report.count("passed over: ") == 20
    assert "Passed over, unreadable: 30 (the row is no valid record" in report
    assert "; the first 20 are named above" in report
    assert [result["problem"] for result in results(tmp_path / "out.jsonl")] == ["unreadable"] * 30 + [""]


def test_chunks_are_reported(loaded_once, articles, capsys):
    main(["model", str(articles), "--long=chunk"])
    report = capsys.readouterr().err
    assert "20 longer than the model's input of 64 tokens, and read in chunks." in report
    assert " cut at " not in report


def test_summaries_do_not_depend_on_the_batch(loaded_once, articles, tmp_path):
    for size in ("1", "7"):
        main(["model", str(articles), f"--output={tmp_path / size}", f"--batch-size={size}"])
    assert results(tmp_path / "1") == results(tmp_path / "7")
    assert [result["id"] for result in results(tmp_path / "1")] == [f"{articles}:{n}" for n in range(1, 26)]
    assert len({result["summary"] for result in results(tmp_path / "1")}) > 5


@pytest.mark.parametrize("kept", [0, 1, 12, 25])
def test_interrupted_output_is_completed_as_if_never_interrupted(loaded_once, articles, tmp_path, kept, capsys):
    command = ["model", str(articles), f"--output={tmp_path / 'out.jsonl'}"]
    main(command)
    whole = (tmp_path / "out.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(b"".join(lines[:kept]) + b"".join(lines[kept : kept + 1])[:40])
    capsys.readouterr()
    main(command)
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert f"{25 - kept} articles: " in capsys.readouterr().err


def test_changed_article_is_summarised_again(loaded_once, tmp_path):
    source = tmp_path / "a.txt"
    for text in (TEXT, TEXT, f"{TEXT} Yarın başlayacak."):
        source.write_text(text)
        main(["model", str(source), f"--output={tmp_path / 'out.jsonl'}"])
    assert [result["id"] for result in results(tmp_path / "out.jsonl")] == [str(source)] * 2


def test_other_settings_do_not_mix_into_an_output(loaded_once, articles, tmp_path):
    command = ["model", str(articles), f"--output={tmp_path / 'out.jsonl'}"]
    main(command)
    with pytest.raises(ValueError, match="other settings"):
        main([*command, "--num-beams=2"])


def test_generation_settings_of_the_command_line_win(loaded_once, capsys, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    main(["model", str(tmp_path / "a.txt")])
    short = capsys.readouterr().out
    main(["model", str(tmp_path / "a.txt"), "--max-new-tokens=30"])
    assert len(capsys.readouterr().out) > 2 * len(short)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty_article"),
        (b" \n\t", "empty_article"),
        (b"12.5 %", "not_text no letter"),
        ("ç".encode() * 1_000_000, "too_long more than 500,000 characters"),
        (b"\x00\x01\x02 abc", "not_utf8"),
        (bytes(range(256)) * 40, "not_utf8"),
        ("Fırtına".encode("cp1254"), "not_utf8"),
    ],
    ids=["empty", "blank", "no letter", "1 MB", "control bytes", "binary", "cp1254"],
)
def test_input_without_any_article_fails_with_the_reason(loaded_once, stdin, content, problem, capsys):
    stdin(content)
    with pytest.raises(ValueError, match="No article could be summarised"):
        main(["model"])
    assert f"passed over: stdin: {problem}" in capsys.readouterr().err


def test_tokenizer_of_another_vocabulary_is_refused(loaded_once, monkeypatch, tmp_path):
    small = loaded_once.model.get_output_embeddings().weight[:100]
    monkeypatch.setattr(loaded_once.model.get_output_embeddings(), "weight", torch.nn.Parameter(small))
    monkeypatch.setattr(summarize, "load_trained", lambda path, device: replace(loaded_once))
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(ValueError, match="only 100 rows: they do not belong together"):
        main(["model", str(tmp_path / "a.txt")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/model", "README.md"], "'no/such/model' is no trained model: nothing is there"),
        (["docs", "README.md"], "'docs' is no trained model: it has no model files"),
        (["README.md", "README.md"], "Cannot read 'README.md' as a checkpoint"),
        (["docs", "no-such-file"], "No file or folder 'no-such-file' to summarise"),
        (["docs", "README.md", "--max-characters=0"], "--max-characters 0 must be at least 1"),
        (["docs", "README.md", "--language=turkish"], "--language 'turkish' is no language code"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        main(arguments)


@pytest.mark.slow
def test_error_is_one_line_for_the_user():
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "summarize.py", "no/such/model", "README.md"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 'no/such/model' is no trained model")
    assert len(done.stderr.splitlines()) == 1
