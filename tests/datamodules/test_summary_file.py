import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.summary_file import SummaryFile

ROWS = [{"id": "a", "article_hash": "1", "summary": "İlk"}, {"id": "b", "article_hash": "2", "summary": None}]


def written(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    with SummaryFile(path, "s1") as file:
        for row in ROWS:
            file.write(row)
    return path


def test_each_line_is_on_disk_at_once(tmp_path):
    path = tmp_path / "out.jsonl"
    with SummaryFile(path, "s1") as file:
        file.write(ROWS[0])
        assert written(path) == [{"settings": "s1", **ROWS[0]}]


def test_second_start_knows_what_is_there_and_appends(path):
    with SummaryFile(path, "s1") as file:
        assert file.resumed == 2
        assert file.holds("a", "1")
        assert not file.holds("a", "changed")
        assert not file.holds("c", "3")
        file.write({"id": "c", "article_hash": "3"})
    assert [row["id"] for row in written(path)] == ["a", "b", "c"]


def test_row_that_comes_twice_must_have_been_written_twice(path):
    with SummaryFile(path, "s1") as file:
        assert file.holds("a", "1")
        assert not file.holds("a", "1")


def write_missing(path):
    with SummaryFile(path, "s1") as file:
        for row in ROWS:
            if not file.holds(row["id"], row["article_hash"]):
                file.write(row)
        return file.resumed


def test_output_that_a_kill_tore_anywhere_is_completed_as_if_never_torn(path):
    """Also inside a character of two bytes, inside the first letters of a line, and before its end."""
    whole = path.read_bytes()
    assert len(whole) > len(whole.decode())
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert write_missing(path) == whole[:cut].count(b"\n")
        assert path.read_bytes() == whole


def test_second_writer_is_refused_until_the_first_is_done(path):
    before = path.read_bytes()
    with SummaryFile(path, "s1") as first:
        with pytest.raises(ValueError, match=rf"is being written by process {os.getpid()}; wait for its end"):
            SummaryFile(path, "s1")
        first.write(ROWS[0])
    assert path.read_bytes().startswith(before)
    assert SummaryFile(path, "s1").resumed == 3


def test_killed_writer_holds_the_file_no_longer(path):
    program = "from datamodules.summary_file import SummaryFile; file = SummaryFile(Path({!r}), 's1'); print(); input()"
    command = [sys.executable, "-c", f"from pathlib import Path; {program.format(str(path))}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"\n"
        with pytest.raises(ValueError, match=f"is being written by process {writer.pid}"):
            SummaryFile(path, "s1")
        writer.kill()
    with SummaryFile(path, "s1") as file:
        assert file.resumed == 2


def test_file_system_without_locks_is_written_all_the_same(path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert write_missing(path) == 2


def test_device_is_written_without_being_read():
    with SummaryFile(Path("/dev/null"), "s1") as file:
        file.write(ROWS[0])


@pytest.mark.parametrize("content", [b'{"id": "a", "article": "mine"}\n', b"a text", b"\xff\xfe\n", b"[1]\n", b"3\n"])
def test_file_of_another_kind_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "input.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no output of summarize\.py"):
        SummaryFile(path, "s1")
    assert path.read_bytes() == content


@pytest.mark.parametrize("length", [19, 30, -1])
def test_torn_line_of_other_settings_is_left_alone(path, length):
    content = path.read_bytes().splitlines(keepends=True)[0][:length]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"no output of summarize\.py|of another model"):
        SummaryFile(path, "s2")
    assert path.read_bytes() == content


def test_other_settings_are_refused(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"of another model or of other settings \(s1, now s2\)"):
        SummaryFile(path, "s2")
    assert path.read_bytes() == before
