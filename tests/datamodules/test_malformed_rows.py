"""A thousand rows, most of them bad: each is used, or counted under a reason."""

import random

import pyarrow as pa
import pyarrow.parquet
import pytest
from corpora import BY_COLUMN, TRAIN_ONLY, pair, write_jsonl

from datamodules.sources import Columns, Splits, SummarizationSource

ROWS = 1_000
COLUMNS = ("id", "split", "article", "summary")
ODD_TEXTS = [
    "",
    " ",
    "12 34",
    "\0",
    "kar\0yağdı",
    "\u200f",
    "\u2028",
    "</s>",
    "A" * 5_000,
    "?!",
    '"',
    "'",
    "\ufeff",
    "💧",
]
ODD_VALUES = [None, 7, 1.5, True, [], ["train"], {}, {"a": "b"}, 10**30]
ODD_LINES = [
    "{", "[]", "7", "null", '"text"', '{"article": "cut of', '{"id": ' + "9" * 5_000 + "}", "[" * 50_000, "{}",
    '{"article": "half an emoji \\ud83d", "summary": "a", "split": "train"}', "NaN", "\0", "\x0b", '{"a": "b"}',
]  # fmt: skip
ODD_CELLS = ["a,b,c,d,e", "only one", ",,,", '"",""', "a,b", "\0,\0,\0,\0", "a,train,b,c,d,e,f", '"a\nb",train,x,y']
BAD_UTF8 = [b"\xff", b"kar \xc3", b"\xed\xa0\xbd", b"A text \xff\xfe of the harbour."]


@pytest.fixture
def chance():
    return random.Random(0)


def odd_pair(chance: random.Random, number: int, values: list) -> dict:
    """A good row, or one with a value exchanged or left out."""
    row: dict = pair(number % 700, chance.choice(("train", "validation", "test")))
    if chance.random() < 0.7:
        name = chance.choice(COLUMNS)
        row[name] = chance.choice(values)
        if chance.random() < 0.1:
            del row[name]
    return row


def check(report, given=ROWS):
    assert sum(split.read for split in report) == given
    kept = sum(split.kept for split in report)
    assert kept + sum(sum(split.problems.values()) for split in report) == given
    assert 0 < kept < given
    return {reason for split in report for reason in split.problems}


def test_json_lines(prepare_sources, tmp_path, chance):
    lines = [
        chance.choice(ODD_LINES) if chance.random() < 0.3 else odd_pair(chance, number, ODD_VALUES + ODD_TEXTS)
        for number in range(ROWS)
    ]
    given = sum(not isinstance(line, str) or bool(line.strip()) for line in lines)  # blank lines are no rows
    _, report = prepare_sources(SummarizationSource("en", write_jsonl(tmp_path / "a.jsonl", lines), columns=BY_COLUMN))
    reasons = check(report, given)
    assert {"unreadable", "unknown_split", "not_text", "empty_article", "empty_summary", "duplicate"} <= reasons


def test_csv(prepare_sources, tmp_path, chance):
    lines = [",".join(COLUMNS)]
    for number in range(ROWS):
        row = odd_pair(chance, number, ODD_TEXTS)
        quoted = ",".join('"' + row.get(name, "").replace('"', '""') + '"' for name in COLUMNS)
        lines.append(chance.choice(ODD_CELLS) if chance.random() < 0.3 else quoted)
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _, report = prepare_sources(SummarizationSource("en", str(tmp_path / "a.csv"), columns=BY_COLUMN))
    assert {"unreadable", "unknown_split", "not_text", "empty_article", "empty_summary", "duplicate"} <= check(report)


def test_parquet(prepare_sources, tmp_path, chance):
    texts = [text.encode() for text in ODD_TEXTS]
    rows = [odd_pair(chance, number, [None, *texts, *BAD_UTF8]) for number in range(ROWS)]
    cells = {name: [row.get(name) for row in rows] for name in COLUMNS}
    encoded = {
        name: pa.array([cell.encode() if isinstance(cell, str) else cell for cell in column], pa.binary())
        for name, column in cells.items()
    }
    table = pa.table({name: column.view(pa.string()) for name, column in encoded.items()})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    _, report = prepare_sources(SummarizationSource("en", str(tmp_path / "a.parquet"), columns=BY_COLUMN))
    assert {"unreadable", "unknown_split", "not_text", "empty_article", "empty_summary", "duplicate"} <= check(report)


@pytest.mark.parametrize("role", ["article", "summary"])
@pytest.mark.parametrize(
    "values",
    [pa.array([["a"]]), pa.array([{"a": "b"}]), pa.array([7]), pa.array([1.5]), pa.array([b"a"]), pa.nulls(1)],
    ids=["list", "struct", "integer", "number", "bytes", "nothing"],
)
def test_column_of_parquet_that_is_no_text_is_counted(prepare_sources, tmp_path, role, values):
    columns = {name: pa.array([text]) for name, text in pair(0).items()}
    pa.parquet.write_table(pa.table(columns | {role: values}), tmp_path / "a.parquet")
    source = SummarizationSource("en", str(tmp_path / "a.parquet"), splits=TRAIN_ONLY, columns=Columns(id="id"))
    _, (report,) = prepare_sources(source)
    assert report.problems == {f"empty_{role}" if values.null_count else "not_text": 1}


@pytest.mark.parametrize("value", [["train"], {"a": 1}, 0.5, None, True], ids=str)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_split_column_that_names_none_is_refused_with_what_it_has(prepare_sources, tmp_path, value, suffix):
    rows = [pair(number) | {"split": value} for number in range(3)]
    if suffix == ".jsonl":
        write_jsonl(tmp_path / "a.jsonl", rows)
    else:
        pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = SummarizationSource("en", str(tmp_path / f"a{suffix}"), splits=TRAIN_ONLY, columns=BY_COLUMN)
    with pytest.raises(ValueError) as error:
        prepare_sources(source)
    assert f"no rows of split 'train' in column 'split'; it has {value}. Correct `splits`" in str(error.value)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_split_column_of_integers_matches_their_digits(prepare_sources, tmp_path, suffix):
    rows = [pair(number) | {"split": number % 2} for number in range(6)]
    if suffix == ".jsonl":
        write_jsonl(tmp_path / "a.jsonl", rows)
    else:
        pa.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    source = SummarizationSource("en", str(tmp_path / f"a{suffix}"), splits=Splits("0", "1", None), columns=BY_COLUMN)
    _, report = prepare_sources(source)
    assert [split.kept for split in report] == [3, 3]


def test_damaged_page_of_parquet_is_one_sentence(prepare_sources, tmp_path):
    path = tmp_path / "a.parquet"
    pa.parquet.write_table(pa.Table.from_pylist([pair(number) for number in range(500)]), path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[40:400] = bytes(360)
    path.write_bytes(content)
    source = SummarizationSource("en", str(path), columns=Columns(id="id"), splits=TRAIN_ONLY)
    with pytest.raises(ValueError, match=r"^Cannot read '.*a\.parquet' as Parquet: .*"):
        prepare_sources(source)
