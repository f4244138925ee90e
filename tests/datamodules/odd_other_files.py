"""Odd files of JSON and Parquet, compressed ones, folders and patterns."""

# ruff: noqa: E501 -- one file a line

import json

import pyarrow as pa
from odd_delimited_files import UNREADABLE, csv
from odd_files import (
    BZIP2,
    GZIP,
    XZ,
    OddFile,
    article,
    bad_utf8,
    columns,
    lines,
    parquet,
    rows,
    summary,
    table,
    zipped,
    zstd,
)

from datamodules.sources import Columns, Splits

_SPLIT = {"columns": Columns(split="split"), "splits": Splits("1", "0", None)}


def dumped(*numbers: int, **options) -> str:
    return json.dumps(rows(*numbers), ensure_ascii=False, **options)


def file(what: str, name: str, content: str | bytes, given: int, kept: int | None = None, **more) -> OddFile:
    return csv(what, content, given, kept, name=name, **more)


JSON = [
    file("array in .json", "a.json", dumped(1, 2), 2),
    file("array over many lines", "a.json", dumped(1, 2, indent=2), 2),
    file("array in .jsonl", "a.jsonl", dumped(1, 2), 2),
    file("JSON lines in .json", "a.json", lines(1, 2), 2),
    file("JSON lines in .ndjson", "a.ndjson", lines(1, 2), 2),
    file("objects over many lines", "a.json", "".join(json.dumps(row, indent=1) + "\n" for row in rows(1, 2)), 2),
    file("one object over many lines", "a.json", json.dumps(rows(1)[0], indent=1), 1),
    file("array of 40,000 spaces and two rows", "a.json", dumped(1, 2).replace("},", "}," + " " * 40_000), 2),
    file("array with a number among its rows", "a.json", dumped(1)[:-1] + ", 7]", 2, 1, counted=UNREADABLE),
    file("array of texts", "a.json", '["bir", "iki"]', 2, 0, counted={"unreadable": 2}),
    file("array that is cut off", "a.json", dumped(1, 2)[:-9], 2, 0, message="value 2 is broken, or the file is cut off"),
    file("array without its end", "a.json", dumped(1, 2)[:-1], 2, 0, message="or the file is cut off"),
    file("empty array", "a.json", "[]", 0, message="no rows in split"),
    file("rows under `data`", "a.json", json.dumps({"data": rows(1, 2)}), 2, 0, message="with its rows under 'data'"),
    file("rows under `data` after other keys", "a.json", json.dumps({"version": "1", "data": rows(1)}, indent=2), 1, 0, message="jq -c '.[\"data\"][]'"),
    file("whole columns", "a.json", json.dumps(columns(1, 2)), 2, 0, message="to_json(orient='records', lines=True)"),
    file("a line that is cut off", "a.jsonl", lines(1, 2) + '{"article": "cut of', 3, 2, counted=UNREADABLE),
    file("first line cut off", "a.jsonl", '{"article": "cut of\n' + lines(1, 2), 3, 2, counted=UNREADABLE),
    file("first line a list", "a.jsonl", "[1]\n" + lines(1, 2), 3, 2, counted=UNREADABLE),
    file("half an escaped emoji", "a.json", '[{"article": "\\ud83d", "summary": "a"}, ' + dumped(1)[1:], 2, 1, counted=UNREADABLE),
    file("article that is a number", "a.jsonl", lines(1) + '{"article": 7, "summary": "a"}\n', 2, 1, counted={"not_text": 1}),
    file("summary that is its article", "a.jsonl", lines(1) + json.dumps({"article": article(2), "summary": article(2)}), 2, 1, counted={"summary_equal": 1}),
    file("split column of integers and whole numbers", "a.jsonl", "".join(json.dumps(row | {"split": split}) + "\n" for row, split in zip(rows(1, 2, 3), (1, 1.0, 0), strict=True)), 3, options=_SPLIT),
    file("split column of lists", "a.jsonl", json.dumps(rows(1)[0] | {"split": ["1"]}), 1, 0, options=_SPLIT, message="it has ['1']. Correct `splits`"),
]  # fmt: skip

PARQUET = [
    file("Parquet", "a.parquet", parquet(columns(1, 2)), 2),
    file("a cell that is not UTF-8", "a.parquet", parquet({"article": bad_utf8([article(n) for n in (2, 1)]), "summary": [summary(2), summary(1)]}), 2, 1, counted=UNREADABLE),
    file("null cells", "a.parquet", parquet({"article": [article(1), None], "summary": [summary(1), "a"]}), 2, 1, counted={"empty_article": 1}),
    file("column of integers as article", "a.parquet", parquet({"article": [1, 2], "summary": ["a", "b"]}), 2, 0, counted={"not_text": 2}),
    file("column of lists as summary", "a.parquet", parquet({"article": [article(1)], "summary": [["a"]]}), 1, 0, counted={"not_text": 1}),
    file("column of dictionary codes", "a.parquet", parquet({key: pa.array(value).dictionary_encode() for key, value in columns(1, 2).items()}), 2),
    file("split column of integers in Parquet", "a.parquet", parquet(columns(1, 2) | {"split": [1, 0]}), 2, options=_SPLIT),
    file("split column of booleans in Parquet", "a.parquet", parquet(columns(1, 2) | {"split": [True, False]}), 2, options={"columns": Columns(split="split"), "splits": Splits("True", "False", None)}),
    file("a text with the name of Parquet", "a.parquet", table(1), 1, 0, message="as Parquet:"),
]  # fmt: skip

COMPRESSED = [
    file("gzip", "a.csv.gz", GZIP(table(1, 2).encode()), 2),
    file("bzip2", "a.jsonl.bz2", BZIP2(lines(1, 2).encode()), 2),
    file("xz", "a.json.xz", XZ(dumped(1, 2).encode()), 2),
    file("zstd", "a.ndjson.zst", zstd(lines(1, 2).encode()), 2),
    file("gzip without its ending", "a.tsv", GZIP(table(1, 2, mark="\t").encode()), 2),
    file("gzip of cp1254, named", "a.csv.gz", GZIP(table(1, 2).encode("cp1254")), 2, options={"encoding": "cp1254"}),
    file("gzip that is cut off", "a.csv.gz", GZIP(table(1, 2).encode())[:-12], 2, 0, message="damaged or cut off"),
    file("zstd that is cut off", "a.csv.zst", zstd(table(*range(2000)).encode())[:300], 2000, 0, message="damaged or cut off"),
    file("no gzip, though its name says so", "a.csv.gz", table(1, 2), 2),
    file("zip", "a.zip", zipped(), 2, 0, message=".zip is no table that ozet reads. Unpack it"),
    file("Excel", "a.xlsx", zipped(), 2, 0, message=".xlsx is no table that ozet reads. Save its sheet as CSV UTF-8"),
    file("Excel with the name of a CSV", "a.csv", zipped(), 2, 0, message="an archive or a spreadsheet, whatever its name"),
    file("a PDF", "a.pdf", b"%PDF-1.7", 0, message="its name must end in .csv"),
]  # fmt: skip

FOLDERS = [
    OddFile("folder of shards", {"d/b.csv": table(2).encode(), "d/a.csv": table(1).encode()}, 2, 2, path="d"),
    OddFile("folder with hidden files and a licence", {"d/a.jsonl": lines(1).encode(), "d/.b.jsonl": b"x", "d/_SUCCESS.json": b"", "d/LICENSE": b"MIT"}, 1, 1, path="d"),
    OddFile("folder of two kinds", {"d/a.csv": table(1).encode(), "d/b.jsonl": lines(2).encode()}, 2, path="d", message="2 kinds (.csv, .jsonl)"),
    OddFile("folder without tables", {"d/readme.md": b"x"}, 0, path="d", message="has no file whose name ends in"),
    OddFile("pattern", {"news-2.parquet": parquet(columns(2)), "news-1.parquet": parquet(columns(1))}, 2, 2, path="news-*.parquet"),
    OddFile("pattern over folders, compressed", {"x/1.csv.gz": GZIP(table(1).encode()), "y/2.csv": table(2).encode()}, 2, 2, path="**/*.csv*"),
    OddFile("pattern that matches nothing", {"a.csv": b""}, 0, path="news-*.csv", message="matches no file"),
    OddFile("file that is not there", {"a.csv": b""}, 0, path="b.csv", message="No file"),
]  # fmt: skip
