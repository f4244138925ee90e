"""Every number in docs/rouge.md is recomputed."""

import json
import re
from pathlib import Path

import pytest

from metrics.rouge import rouge, rouge_words
from metrics.words import words

ROOT = Path(__file__).parents[2]
TOKENIZERS = ("rouge155", "xlsum", "unicode")
PAGE = (ROOT / "docs" / "rouge.md").read_text(encoding="utf-8")


def table(first_column: str) -> list[dict[str, str]]:
    """The rows of the table whose header begins so."""
    (found,) = re.findall(rf"^\| {first_column} \|.*\n\|[-|]+\n(?:\|.*\n)+", PAGE, re.MULTILINE)
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def cell(predictions: list[str], references: list[str], language: str, tokenizer: str, stemming: bool) -> str:
    """What the page should say: the mean to one decimal."""
    try:
        scores = rouge(predictions, references, language, tokenizer, stemming)["rouge1"]
    except ValueError:
        return "refused"
    return f"{sum(scores) / len(scores):.1f}"


@pytest.mark.parametrize("row", table("case"), ids=lambda row: row["case"])
def test_worked_cases_score_as_documented(row):
    pair = [row["prediction"]], [row["reference"]]
    scores = {name: cell(*pair, row["language"], name, stemming=False) for name in TOKENIZERS}
    assert scores == {name: row[name] for name in TOKENIZERS}


@pytest.mark.parametrize("row", table("stems"), ids=lambda row: row["stems"])
def test_stemmed_cases_score_as_documented(row):
    pair = [row["prediction"]], [row["reference"]]
    scores = {name: cell(*pair, row["language"], name, stemming=True) for name in TOKENIZERS}
    assert scores == {name: row[name] for name in TOKENIZERS}


@pytest.mark.parametrize("row", table("language"), ids=lambda row: row["language"])
def test_unrelated_articles_score_as_documented(row, quickstart):
    lines = (quickstart / f"{row['language']}.jsonl").read_text(encoding="utf-8").splitlines()
    articles = [json.loads(line)["article"] for line in lines]
    following = articles[1:] + articles[:1]
    scores = {name: cell(articles, following, row["language"], name, stemming=False) for name in TOKENIZERS}
    assert scores == {name: row[name] for name in TOKENIZERS}


def test_the_tables_hold_the_cases_that_matter():
    cases = table("case")
    assert {"tr", "ru", "ja", "th"} <= {row["language"] for row in cases}
    assert {row["language"] for row in table("language")} == {"tr", "en", "it"}
    assert any("ı" in row["reference"] for row in cases) and any("'" in row["prediction"] for row in cases)


def test_the_example_in_python_is_right():
    code, comment = re.search(r"^(rouge\(.*)  # (.*)$", PAGE, re.MULTILINE).groups()
    assert eval(code) == pytest.approx(json.loads(comment))


def test_share_of_turkish_words_that_the_usual_tokenizer_cuts_is_that_of_the_readme(quickstart):
    lines = (quickstart / "tr.jsonl").read_text(encoding="utf-8").splitlines()
    found = [word for line in lines for word in words(json.loads(line)["article"])]
    usual = rouge_words("tr", "rouge155", stemming=False)
    share = sum(usual(word) != [word.lower()] for word in found) / len(found)
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"cuts {share:.0%} of the words of our Turkish articles to pieces" in readme
