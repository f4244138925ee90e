import json

import pytest
from corpora import pair, write_jsonl, write_table

from datamodules.local_files import fingerprint_file, read_rows
from datamodules.sources import Columns

OWN = Columns(id="id", split="split")


def read(path, columns=OWN):
    return list(read_rows(str(path), columns))


def problems(rows):
    return [row["reading_problem"] for row in rows]


def test_all_formats_give_the_same_rows(tmp_path):
    pairs = [pair(0), pair(1, "test") | {"article": 'Virgül, "tırnak",\tsekme ve\nsatır.'}]
    files = [
        write_jsonl(tmp_path / "a.jsonl", pairs),
        write_table(tmp_path / "a.csv", pairs),
        write_table(tmp_path / "a.tsv", pairs, delimiter="\t"),
        write_jsonl(tmp_path / "UPPER.JSONL", pairs),
        write_table(tmp_path / "UPPER.TSV", pairs, delimiter="\t"),
    ]
    expected = [row | {"reading_problem": None} for row in pairs]
    assert [read(path) for path in files] == [expected] * len(files)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path, suffix):
    path = tmp_path / f"bom{suffix}"
    (write_jsonl if suffix == ".jsonl" else write_table)(path, [pair(0)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read(path)[0]["id"] == "row-0"


def test_columns_of_other_names_come_under_ours(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"metin": "Uzun bir metin.", "özet": "Metin.", "no": 7}])
    (row,) = read(path, Columns(article="metin", summary="özet", id="no"))
    assert row == {
        "id": "7",
        "split": None,
        "article": "Uzun bir metin.",
        "summary": "Metin.",
        "reading_problem": None,
    }


def test_rows_without_an_id_are_named_by_their_line(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [pair(0), "", pair(1)])
    assert [row["id"] for row in read(path, Columns())] == ["1", "3"]


@pytest.mark.parametrize(
    "line",
    [
        '{"article": "cut of',
        '["a", "list"]',
        '"text"',
        '{"id": ' + "9" * 5000 + "}",
        "[" * 100_000,
        '{"article": "half an emoji \\ud83d", "summary": "a"}',
    ],
    ids=["cut off", "list", "text", "huge number", "deep nesting", "lone surrogate"],
)
def test_broken_json_line_is_one_unreadable_row(tmp_path, line):
    rows = read(write_jsonl(tmp_path / "a.jsonl", [pair(0), line, pair(1)]))
    assert problems(rows) == [None, "unreadable", None]
    assert rows[1] == {"id": "2", "split": None, "article": None, "summary": None, "reading_problem": "unreadable"}


def test_escaped_characters_are_read(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [json.dumps(pair(0) | {"article": "Ağrı 😀"}, ensure_ascii=True)])
    assert read(path)[0]["article"] == "Ağrı 😀"


@pytest.mark.parametrize("value", [3, 1.5, True, ["a"], {"a": "b"}])
def test_value_that_is_no_text_is_a_problem_of_its_row(tmp_path, value):
    rows = read(write_jsonl(tmp_path / "a.jsonl", [pair(0), pair(1) | {"summary": value}]))
    assert problems(rows) == [None, "not_text"]
    assert rows[1]["summary"] is None


def test_missing_value_is_left_to_validation(tmp_path):
    rows = read(write_jsonl(tmp_path / "a.jsonl", [pair(0), {"id": "x", "split": "train", "article": "Only this."}]))
    assert problems(rows) == [None, None]
    assert rows[1]["summary"] is None


def test_surplus_cells_make_a_row_unreadable_and_missing_cells_are_empty(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("article,summary\nA text,its summary\nA text,with a comma,summary\nOnly an article\n")
    rows = read(path, Columns())
    assert problems(rows) == [None, "unreadable", None]
    assert rows[2]["summary"] is None


def test_article_longer_than_the_csv_default_limit_is_read(tmp_path):
    path = write_table(tmp_path / "a.csv", [pair(0) | {"article": "word " * 40_000}])
    assert len(read(path)[0]["article"]) == 200_000


@pytest.mark.parametrize("role", ["article", "summary", "id", "split"])
def test_missing_column_is_named_with_those_found(tmp_path, role):
    path = write_jsonl(tmp_path / "a.jsonl", [pair(0)])
    names = {"id": "id", "split": "split", role: "corpo"}
    with pytest.raises(ValueError, match=f"no column 'corpo' for the {role}. It has: article, id, split, summary"):
        read(path, Columns(**names))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_file_in_another_encoding_is_named(tmp_path, suffix):
    path = tmp_path / f"latin{suffix}"
    path.write_bytes("article,summary\nÖzgür,ağ\n".encode("iso8859-9"))
    with pytest.raises(ValueError, match=rf"latin{suffix}' is not all UTF-8: line .* has byte 0x.*such as cp1254"):
        read(path, Columns())


def test_fingerprint_follows_content_and_kind_but_not_the_place(tmp_path):
    def fingerprint(name: str, content: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return fingerprint_file(path)

    first = fingerprint("a.csv", "text")
    assert fingerprint("elsewhere/b.csv", "text") == first
    assert len({first, fingerprint("a.csv", "texts"), fingerprint("a.tsv", "text")}) == 3


def test_quotation_mark_that_is_never_closed_costs_no_other_row(tmp_path):
    path = tmp_path / "open.csv"
    path.write_text('article,summary\nkar yağdı,kar\n"açık kaldı,özet\nbir,iki\n', encoding="utf-8")
    assert [row["article"] for row in read_rows(str(path), Columns())] == ["kar yağdı", '"açık kaldı', "bir"]
