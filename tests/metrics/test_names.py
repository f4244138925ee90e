import pytest

from metrics.names import is_title_case, knows_names, names


def found(text: str, language: str) -> list[str]:
    return [text[name.start : name.end] for name in names(text, language)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Dün Ahmet Kaya'nın, Ankara'da NATO'yu sordu.", "tr", ["Ahmet Kaya", "Ankara", "NATO"]),
        ("Bugün İstanbul’da Ilgaz", "tr", ["İstanbul", "Ilgaz"]),
        ("İzmir Milletvekili Ali Öz'ün konuşması.", "tr", ["Milletvekili Ali Öz"]),
        ("Rain fell. Snow followed in London", "en", ["London"]),
        ('He said: "We met Mary O\'Brien", and I agree', "en", ["Mary O'Brien"]),
        (
            "Ieri Jean-Luc Picard a L'Aquila, capoluogo dell'Italia antica",
            "it",
            ["Jean-Luc Picard", "L'Aquila", "Italia"],
        ),
        ("Вчера в Москве", "ru", ["Москве"]),
        ("no names here", "en", []),
    ],
)
def test_capitalised_words_inside_a_sentence_are_names(text: str, language: str, expected: list[str]) -> None:
    assert found(text, language) == expected


@pytest.mark.parametrize("language", ["de", "zh", "ar", "tlh"])
def test_where_capitals_mean_nothing_names_are_refused(language: str) -> None:
    assert not knows_names(language)
    with pytest.raises(ValueError, match=f"In '{language}' capital letters do not tell names"):
        names("Der Hund und die Katze", language)


def test_a_title_is_told_from_a_sentence() -> None:
    assert is_title_case("Prime Minister Visits Old Trafford")
    assert not is_title_case("The prime minister visits Old Trafford today")
    assert not is_title_case("Boris Johnson")
