import pytest

from metrics.lead import lead_words, mean_word_count
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
