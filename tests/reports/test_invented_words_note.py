import pytest

from reports.invented_words import describe_invented_words


def test_the_page_names_each_invented_word_once() -> None:
    (line,) = describe_invented_words("The reef.", "Snaides on the kebished reef, snaides.", "en")
    assert line.endswith("neither in the article nor among the known words: snaides, kebished.")


@pytest.mark.parametrize("language", ["en", None])
def test_nothing_is_said_of_a_summary_in_known_words_or_of_an_unknown_language(language: str | None) -> None:
    assert describe_invented_words("The reef of Zorblatt.", "Zorblatt has a reef.", language) == []


def test_the_page_says_where_nobody_can_tell() -> None:
    (line,) = describe_invented_words("Das Riff.", "Qwrtz.", "de")
    assert line == "Invented words are not looked for: no list of German words comes with the project."
