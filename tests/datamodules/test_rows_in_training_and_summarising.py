"""A thousand malformed rows of each format: none is lost, and none stops the rest, in training and in summarising."""

import csv
import json
import random
from collections import Counter

import pytest
from corpora import TRAIN_ONLY, pair

from datamodules.articles import ArticleReader
from datamodules.sources import Columns, SummarizationSource

ROWS = 1_000
VALUES = [
    *("", " ", "\t", "12", "...", "\0", "kar\0 yağdı", "\x01\x1b\x7f", "\u202e", "﻿", "😀" * 9, "a\u0301" * 9),
    *("'", '"', "\\", "{}", "</s>", "<extra_id_0>", "<script>", "=1+1", "null", "A\nB", "A\r\nB", "\u2028", "\x85"),
]


def text_of(chance: random.Random) -> str:
    """Half of them are ordinary."""
    whole = f"Vapur {chance.random()} geç kalktı; kimse sebebini bilmiyor."
    return whole if chance.random() < 0.5 else chance.choice(VALUES) + chance.choice(["", whole[:20], whole])


def json_line(chance: random.Random) -> str:
    value = chance.choice([text_of(chance), text_of(chance), None, 3, [], {}, True, 1e400, "\ud83d"])
    line = json.dumps({"article": text_of(chance), "summary": value, chance.choice(VALUES): 1})
    kinds = [
        line,
        line,
        line,
        line[: chance.randrange(1, len(line))],
        line + "}",
        "[1]",
        "7",
        '"text"',
        "nul",
        "[" * 2000,
    ]
    return chance.choice(kinds)


def write_rows(path, chance: random.Random) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(f"{json_line(chance)}\n" for _ in range(ROWS))
        else:
            table = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",", quoting=csv.QUOTE_ALL)
            table.writerow(["article", "summary"])
            table.writerows([text_of(chance) for _ in range(chance.choice([1, 2, 2, 2, 2, 3, 9]))] for _ in range(ROWS))
    return str(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_every_row_is_kept_or_counted(prepare_sources, tmp_path, suffix):
    """`prepare_sources` itself compares what was read with what was kept and counted."""
    path = write_rows(tmp_path / f"rows{suffix}", random.Random(suffix))
    _, (report,) = prepare_sources(SummarizationSource("tr", path, splits=TRAIN_ONLY))
    assert report.read == ROWS
    assert 0 < report.kept < ROWS
    assert {"unreadable", "not_text", "not_utf8", "empty_article", "empty_summary"} <= report.problems.keys()
    reader = ArticleReader()
    found = Counter(article.problem for article in reader.read([path]))
    assert found.total() == reader.count([path]) == ROWS
    assert {"", "empty_article", "not_text", "not_utf8"} <= found.keys()


@pytest.mark.parametrize("character", ["\0", "\x01", "\x7f", "\u200b", "﻿", "\u202e", "😀", "\ufffe"])
def test_characters_that_spoil_a_row_are_the_same_in_training_and_in_summarising(prepare_sources, tmp_path, character):
    row = pair(0)
    row["article"] += character
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (row, pair(1))), encoding="utf-8")
    source = SummarizationSource("en", str(path), columns=Columns(id="id"), splits=TRAIN_ONLY)
    _, (report,) = prepare_sources(source)
    first, second = (article.problem for article in ArticleReader().read([str(path)]))
    assert report.problems == ({first: 1} if first else {})
    assert (first, second) == ("not_utf8" if character == "\0" else "", "")
