import json

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


def test_unfinished_last_line_is_removed(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"settings": "s1", "id": "c", "artic')
    with SummaryFile(path, "s1") as file:
        assert file.resumed == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b'{"id": "a", "article": "mine"}\n', b"a text", b"\xff\xfe\n", b"[1]\n", b"3\n"])
def test_file_of_another_kind_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "input.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no output of summarize\.py"):
        SummaryFile(path, "s1")
    assert path.read_bytes() == content


def test_other_settings_are_refused(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"of another model or of other settings \(s1, now s2\)"):
        SummaryFile(path, "s2")
    assert path.read_bytes() == before
