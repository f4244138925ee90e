import pytest

from metrics.lead import lead_words, mean_word_count


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "Ankara'da"), (3, "Ankara'da kar yağdı."), (99, "Ankara'da kar yağdı. Bitti")]
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
