import pytest

from metrics.conventional_words import conventional_words


def corpus(title: int, count: int = 100) -> tuple[list[str], list[str]]:
    """Speeches by Ankara's Kaya; so many of the references call him by a title that no speech has."""
    references = [
        f"Dün {'Milletvekili' if row < title else ''} Kaya'nın Ankara ile ilgili uzun konuşması" for row in range(count)
    ]
    return ["ANKARA'DAN KAYA KONUŞTU."] * count, references


def test_a_word_that_many_references_have_and_no_article_is_a_convention() -> None:
    assert conventional_words(*corpus(title=5), "tr") == {"milletvekili"}
    assert conventional_words(*corpus(title=4), "tr") == frozenset()


def test_a_frequent_word_that_the_articles_have_is_a_name() -> None:
    articles, references = corpus(title=100)
    assert conventional_words([f"{one} Milletvekili." for one in articles], references, "tr") == frozenset()


def test_it_is_counted_once_a_reference() -> None:
    references = ["bir Vekil ile bir Vekil ile bir Vekil ile bir Vekil ile bir Vekil konuştu"] + ["konuştu"] * 99
    assert conventional_words(["Konuştu."] * 100, references, "tr") == frozenset()


@pytest.mark.parametrize(("count", "language"), [(99, "tr"), (100, "de")])
def test_few_references_and_languages_without_the_rule_of_capitals_have_none(count: int, language: str) -> None:
    assert conventional_words(*corpus(title=count, count=count), language) == frozenset()
