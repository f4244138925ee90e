import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.normal_form import normal_form
from metrics.words import base_code, lowercase, word_spans, words


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("IĞDIR İZMİR ışık", "tr", "ığdır izmir ışık"),
        ("QIZIL İl", "az", "qızıl il"),
        ("QIZIL İl", "az-Latn", "qızıl il"),
        ("i\u0307stanbul", "tr", "istanbul"),
        ("I\u0307stanbul i\u0307l", "az", "istanbul il"),
        ("ＩＳＩ", "tr", "ısı"),
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
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Tokyo (東京) kar, 今日は", ["Tokyo", "東京", "kar", "今日", "は"]),
        (unicodedata.normalize("NFD", "ガラスの家"), ["ガラス", "の", "家"]),
        ("１０億円", ["10", "億", "円"]),
        ("ﬁre x\x01y a\u200bb", ["fire", "xy", "a", "b"]),
        ("❤️ kar ☀️", ["kar"]),
        ("\u0301a\u0301", ["á"]),
        (" ... ", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(alphabet="aİı1'_ .雪東京กรุง", max_size=12))
def test_spans_are_where_the_words_stand(text: str) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words(text)


@pytest.mark.parametrize(
    ("language", "expected"), [("tr", "tr"), ("pt-br", "pt"), ("zh_Hans", "zh"), ("AZ-Latn", "az")]
)
def test_base_code_drops_region_and_script(language: str, expected: str) -> None:
    assert base_code(language) == expected


@given(st.text(alphabet="ae\u0301\u0323\u0327 ç가\u1100\u1161", max_size=40))
def test_a_text_that_people_read_keeps_its_marks(text: str) -> None:
    assert normal_form(text) == unicodedata.normalize("NFKC", text)


def test_a_row_of_marks_is_cut_and_takes_no_quadratic_time() -> None:
    assert normal_form("a" + "\u0301\u0323" * 500_000 + "b") == normal_form("a" + "\u0301\u0323" * 15 + "b")
