"""Nonsense is seen where ROUGE sees none, and what people write is not called nonsense."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from metrics import known_words
from metrics.invented_words import MAX_INVENTED_WORDS, invented_share, invented_words
from metrics.known_words import LEAST_WORDS, LISTS, shipped_words, spelled_words
from metrics.rouge import rouge

ROOT = Path(__file__).parent.parent.parent
ARTICLE = "The reef had lost its snails when Zorblatt, the warden, counted 37 of them near the old harbour wall."


def stories(language: str) -> list[dict]:
    return [json.loads(line) for line in (ROOT / f"assets/quickstart/{language}.jsonl").open(encoding="utf-8")]


def swapped(text: str, rng: random.Random) -> str:
    """Swaps two letters in each word of over three."""
    return " ".join(_swap(word, rng) if len(word) > 3 else word for word in text.split())


def _swap(word: str, rng: random.Random) -> str:
    letters = list(word)
    one, other = rng.sample(range(len(letters)), 2)
    letters[one], letters[other] = letters[other], letters[one]
    return "".join(letters)


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        ("A snails that had been a snaides.", ["snaides"]),
        ("Zorblatt counted snails.", []),  # the article's name
        ("ZORBLATT's snails were counted", []),
        ("Zorblatts were found", []),  # its stem is the article's
        ("<extra_id_0> 37 4x4 2nd", []),
        ("kebished and kebished again", ["kebished", "kebished"]),
        ("", []),
        ("東京 でした", []),
    ],
)
def test_words_of_neither_the_article_nor_the_language_are_invented(summary: str, expected: list[str]) -> None:
    assert invented_words(ARTICLE, summary, "en", shipped_words("en")) == expected


def test_casing_and_suffixes_are_those_of_the_language() -> None:
    known = shipped_words("tr")
    assert "midyelerinden" not in known and "midye" in known
    assert invented_words("", "IŞIKLAR İstanbul'da söndü, midyelerinden yendi.", "tr", known) == []
    assert invented_words("Corvane açıldı.", "Corvaneye gidildi.", "tr", known) == []
    assert invented_words("", "Corvaneye gidildi, friilmazs görüldü.", "tr", known) == ["corvaneye", "friilmazs"]


def test_languages_without_a_stemmer_are_compared_word_by_word() -> None:
    assert invented_words("Ферибот", "Ферибот тръгна, фериботи чакат", "bg", {"тръгна"}) == ["фериботи", "чакат"]


def test_what_rouge_likes_better_is_seen() -> None:
    reference = "Snails that had been thought lost were found on the reef."
    nonsense, readable = "A snails that had been a snaides.", "A warden near the harbour counted 37 of them."
    better, worse = rouge([nonsense, readable], [reference] * 2, "en")["rouge1"]
    assert better > worse
    found = invented_share([ARTICLE] * 2, [nonsense, readable], "en", shipped_words("en"))
    assert found == {"invented_words": [pytest.approx(1 / 7), 0]}


@pytest.mark.parametrize("language", ["tr", "en", "it"])
def test_people_invent_few_words_and_nonsense_many(language: str) -> None:
    rows, rng, known = stories(language), random.Random(0), shipped_words(language)
    articles, summaries = [row["article"] for row in rows], [row["summary"] for row in rows]
    shares = {
        name: invented_share(articles, texts, language, known)["invented_words"]
        for name, texts in (("people", summaries), ("nonsense", [swapped(text, rng) for text in summaries]))
    }
    means = {name: sum(values) / len(values) for name, values in shares.items()}
    assert means["people"] < MAX_INVENTED_WORDS < 0.4 < means["nonsense"]
    assert min(shares["nonsense"]) > MAX_INVENTED_WORDS


@pytest.mark.parametrize("language", ["tr", "en", "it"])
def test_shipped_lists_are_small_sorted_and_large_enough(language: str) -> None:
    words = shipped_words(language)
    assert len(words) >= LEAST_WORDS
    assert (LISTS / f"{language}.txt.xz").stat().st_size < 500_000
    assert shipped_words(language) is words is shipped_words(language)
    some = sorted(words)[:: len(words) // 500]
    assert [spelled_words(word, language) for word in some] == [[word] for word in some]
    assert shipped_words(f"{language.upper()}-XX") == words


@pytest.mark.parametrize("language", ["th", "ja", "de", "../tr"])
def test_languages_without_a_list_are_not_measured(language: str) -> None:
    assert shipped_words(language) == frozenset()
    assert invented_share(["a"], ["b"], language, shipped_words(language)) == {}


def test_a_language_with_own_words_is_measured_and_one_word_fewer_is_not() -> None:
    known = {f"{first}{second}{third}" for first in ALPHABET for second in ALPHABET for third in ALPHABET}
    known = set(sorted(known)[:LEAST_WORDS])
    assert invented_share(["wort"], ["aab wort qqqqq"], "de", known) == {"invented_words": [pytest.approx(1 / 3)]}
    assert invented_share(["wort"], ["aab"], "de", known - {"aab"}) == {}


ALPHABET = "abcdefghijklmnopqrstuvwxyzäöüßéàâî"


def test_numbers_of_texts_must_agree() -> None:
    with pytest.raises(ValueError, match="1 articles and 2 summaries"):
        invented_share(["a"], ["b", "c"], "en", frozenset())


def test_lists_are_read_only_when_asked_for() -> None:
    program = (
        "import metrics.invented_words, metrics.known_words as k\n"
        "assert k.shipped_words.cache_info().currsize == 0\n"
        "k.shipped_words('it'); k.shipped_words('it')\n"
        "assert k.shipped_words.cache_info().misses == 1"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_lists_are_package_data() -> None:
    """An installed package has them: they lie beside the module, under a pattern of setup.cfg."""
    lines = (ROOT / "setup.cfg").read_text(encoding="utf-8").splitlines()
    (pattern,) = [line.split(" = ")[1] for line in lines if line.startswith("metrics = ")]
    package = Path(known_words.__file__).parent
    assert {path.name for path in package.glob(pattern)} == {"tr.txt.xz", "en.txt.xz", "it.txt.xz"}
