import unicodedata

import pytest

from metrics.lead import lead_sentences, lead_words, mean_word_count
from metrics.words import words


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "Ankara"), (3, "Ankara'da  kar"), (99, "Ankara'da  kar\nyağdı. Bitti")]
)
def test_lead_is_the_beginning_of_each_article(count: int, expected: str) -> None:
    assert lead_words(["Ankara'da  kar\nyağdı. Bitti", ""], count) == [expected, ""]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["bir iki üç", "bir"], 2),
        (["bir iki, üç!", "bir iki üç dört - beş"], 4),
        (["a b c", "a b c", "a b"], 3),
        ([""], 1),
        ([], 1),
    ],
)
def test_mean_word_count_is_rounded_and_never_zero(texts: list[str], expected: int) -> None:
    assert mean_word_count(texts) == expected


def test_lead_has_as_many_words_as_references_are_counted_to_have() -> None:
    reference = "Ankara'da kar, -3°C."
    (lead,) = lead_words(["İstanbul'da yağmur var; İzmir'de güneş."], mean_word_count([reference]))
    assert len(words(lead)) == len(words(reference)) == 5


def test_lead_ends_with_its_last_word_even_where_that_is_the_last_of_all() -> None:
    assert lead_words(["Kar yağdı."], 2) == ["Kar yağdı"]


def test_lead_counts_the_words_of_scripts_without_spaces() -> None:
    assert lead_words(["今日は東京で雪。"], 3) == ["今日は東京"]
    assert lead_words([unicodedata.normalize("NFD", "ガラスの家")], 1) == ["ガラス"]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, ["Ankara'da kar yağdı.", "雨だ。", ""]),
        (2, ["Ankara'da kar yağdı.  %3.5 arttı!", "雨だ。「晴れ？」", ""]),
        (9, ["Ankara'da kar yağdı.  %3.5 arttı!\nSon", "雨だ。「晴れ？」終わり", ""]),
    ],
)
def test_lead_sentences_are_the_beginning_up_to_a_sentence(count: int, expected: list[str]) -> None:
    assert lead_sentences(["Ankara'da kar yağdı.  %3.5 arttı!\nSon", "雨だ。「晴れ？」終わり", ""], count) == expected


@pytest.mark.parametrize("lead", [lead_words, lead_sentences])
@pytest.mark.parametrize("count", [0, -1])
def test_a_lead_of_nothing_is_refused(lead, count: int) -> None:
    with pytest.raises(ValueError, match=f"beginning of {count} words or sentences"):
        lead(["a"], count)
