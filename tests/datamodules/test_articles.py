import io
import json
import os
from types import SimpleNamespace

import pytest
from corpora import write_jsonl, write_table

from datamodules.articles import PROBLEMS, Article, ArticleReader

TEXT = "Vapur geç kaldı."


def read(*inputs, **settings):
    return list(ArticleReader(**settings).read([str(path) for path in inputs]))


@pytest.fixture
def stdin(monkeypatch):
    def put(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))

    return put


@pytest.fixture
def folder(tmp_path):
    """Everything that a folder may hold, good and bad."""
    write_jsonl(
        tmp_path / "a.jsonl", [{"article": TEXT}, {"article": None}, "no record", {"article": 3}, {"article": "1"}]
    )
    write_table(tmp_path / "b.csv", [{"article": TEXT, "other": "x"}, {"article": "\u200b ", "other": "x"}])
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    (tmp_path / "c" / "e.txt").write_bytes(os.urandom(64) + b"\xff")
    (tmp_path / "f.pdf").write_bytes(b"%PDF")
    (tmp_path / "g.csv").write_text(f'article\n"{TEXT}\n')
    (tmp_path / "h.json").write_text('[{"article": "cut of')
    return tmp_path


def test_folder_gives_every_row_in_order_with_what_is_wrong(folder):
    articles = read(folder)
    assert [(article.id.removeprefix(f"{folder}/"), article.problem) for article in articles] == [
        ("a.jsonl:1", ""),
        ("a.jsonl:2", "empty_article"),
        ("a.jsonl:3", "unreadable"),
        ("a.jsonl:4", "not_text"),
        ("a.jsonl:5", "not_text"),
        ("b.csv:2", ""),
        ("b.csv:3", "empty_article"),
        ("c/d.txt", ""),
        ("c/e.txt", "not_utf8"),
        ("f.pdf", "unknown_kind"),
        ("g.csv:2", ""),
        ("h.json", "unreadable_file"),
    ]
    assert {article.text.lstrip('"') for article in articles if not article.problem} == {TEXT}
    assert not any(article.text for article in articles if article.problem)
    assert "the file is cut off" in articles[-1].detail
    assert {article.problem for article in articles} <= {"", *PROBLEMS}
    assert ArticleReader().count([str(folder)]) == len(articles)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_bytes_that_are_no_text_cost_their_row_only(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "jsonl":
        lines = [json.dumps({"article": text}).encode() for text in (TEXT, "BAD", TEXT)]
    else:
        lines = [b"article", *(text.encode() for text in (TEXT, "BAD", TEXT))]
    path.write_bytes(b"\n".join(lines).replace(b"BAD", b"\xff\xfe caf\xe9"))
    assert [article.problem for article in read(path)] == ["", "unreadable", ""]


def test_columns_by_name(tmp_path):
    rows = [
        {"no": 7, "metin": TEXT, "dil": "tr"},
        {"no": "", "metin": TEXT, "dil": "no code"},
        {"no": None, "metin": TEXT, "dil": None},
    ]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    settings = {"article_column": "metin", "id_column": "no", "language_column": "dil"}
    assert [(one.id, one.language) for one in read(path, **settings)] == [
        ("7", "tr"),
        (f"{path}:2", None),
        (f"{path}:3", None),
    ]
    assert [one.language for one in read(path, **settings, language="it")] == ["tr", "it", "it"]


@pytest.mark.parametrize("column", ["article_column", "id_column", "language_column"])
def test_missing_column_is_refused_before_anything_is_read(tmp_path, column):
    path = write_jsonl(tmp_path / "a.jsonl", [{"article": TEXT}])
    option = f"--{column.replace('_', '-')}"
    with pytest.raises(ValueError, match=rf"no column 'headline'\. It has: 'article'\. Name it by {option}"):
        ArticleReader(**{column: "headline"}).count([str(path)])


def test_key_that_some_records_lack_is_no_missing_column(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"article": TEXT}, {"article": TEXT, "id": "x"}])
    assert ArticleReader(id_column="id").count([str(path)]) == 2
    assert [article.id for article in read(path, id_column="id")] == [f"{path}:1", "x"]


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No file or folder"):
        ArticleReader().count([str(tmp_path / "nowhere.txt")])


def test_named_file_is_a_text_whatever_its_name(tmp_path):
    (tmp_path / "story").write_text(TEXT)
    assert read(tmp_path / "story") == [Article(str(tmp_path / "story"), TEXT)]


def test_article_beyond_the_limit_is_passed_over_without_reading_all_of_it(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"article": "ç" * 100}, {"article": "ç" * 101}])
    (tmp_path / "b.txt").write_text("ç" * 100)
    (tmp_path / "c.txt").write_text("😀a" * 1_000_000)
    articles = read(tmp_path, max_characters=100)
    assert [article.problem for article in articles] == ["", "too_long", "", "too_long"]
    assert articles[1].detail == "more than 100 characters"


def test_standard_input_is_one_article_or_one_a_line(stdin):
    stdin(f"{TEXT}\n\n{TEXT}\n".encode())
    assert read("-") == [Article("stdin", f"{TEXT}\n\n{TEXT}\n")]
    stdin(f"{TEXT}\n\n{TEXT}\n".encode())
    lines = read("-", lines=True)
    assert [(line.id, line.problem) for line in lines] == [
        ("stdin:1", ""),
        ("stdin:2", "empty_article"),
        ("stdin:3", ""),
    ]


def test_standard_input_is_counted_without_reading_it(stdin, tmp_path):
    (tmp_path / "a.txt").write_text(f"{TEXT}\n{TEXT}")
    stdin(TEXT.encode())
    assert ArticleReader().count(["-", str(tmp_path)]) == 2
    assert ArticleReader(lines=True).count([str(tmp_path)]) == 2
    assert ArticleReader(lines=True).count(["-"]) is None
    assert [article.id for article in read("-")] == ["stdin"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_characters": 0}, "--max-characters 0 must be at least 1"),
        ({"language": "turkish"}, "is no language code"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ArticleReader(**settings)
