import unicodedata

import pytest

from metrics.words import lowercase, words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("IĞDIR İZMİR ışık", "tr", "ığdır izmir ışık"),
        ("QIZIL İl", "az", "qızıl il"),
        ("ISLAND", "en", "island"),
        ("ÇOK ŞIK ÖĞÜT", "tr", "çok şık öğüt"),
        ("МОСКВА", "ru", "москва"),
    ],
)
def test_lowercase_follows_the_rules_of_the_language(text: str, language: str, expected: str) -> None:
    assert lowercase(text, language) == expected


def test_decomposed_text_is_composed_before_its_casing_changes() -> None:
    decomposed = unicodedata.normalize("NFD", "İSTANBUL")
    assert decomposed != "İSTANBUL"
    assert lowercase(decomposed, "tr") == "istanbul"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ankara'da İstanbul’un", ["Ankara", "da", "İstanbul", "un"]),
        ("l'università è bella", ["l", "università", "è", "bella"]),
        ("Москва, 2024-й год", ["Москва", "2024", "й", "год"]),
        ("a_b 3,5%", ["a", "b", "3", "5"]),
        (unicodedata.normalize("NFD", "ağaç"), ["ağaç"]),
        ("ışık", ["ışık"]),
        (" ... ", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected
