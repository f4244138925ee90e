import json
from pathlib import Path

import pytest

from metrics.language_identification import identify_language, in_other_language, is_identifiable

TEXTS = {
    "az": "Azərbaycanda gələn il minimum əməkhaqqı artırılacaq, hökumət bu barədə qərar qəbul edib.",
    "de": "Die Regierung erhöht den Mindestlohn im nächsten Jahr, teilte der Minister am Montag mit.",
    "ru": "Правительство повысит минимальную зарплату с января следующего года, сообщил министр.",
    "zh": "政府宣布明年一月起提高最低工资标准，工会表示欢迎。",
    "ar": "قررت الحكومة رفع الحد الأدنى للأجور اعتبارا من يناير من العام المقبل.",
}


def summaries(quickstart: Path, language: str) -> list[str]:
    lines = (quickstart / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["summary"] for line in lines]


@pytest.mark.parametrize("language", ["tr", "en", "it"])
def test_every_summary_of_the_quickstart_is_in_its_language_and_in_no_other(quickstart: Path, language: str) -> None:
    texts = summaries(quickstart, language)
    assert len(texts) == 48
    assert not any(in_other_language(texts, language))
    for other in {"tr", "en", "it", "az", "no", "zh", "ky"} - {language}:
        assert all(in_other_language(texts, other)), other


@pytest.mark.parametrize("language", TEXTS)
def test_languages_of_other_scripts_and_families(language: str) -> None:
    assert in_other_language(list(TEXTS.values()), language) == [other != language for other in TEXTS]


def test_full_width_letters_are_in_the_language_that_they_spell() -> None:
    text = "".join(chr(ord(one) + 0xFEE0) if one.isalpha() else one for one in "The ferry left the harbour late again.")
    assert identify_language(text) == "en"
    assert in_other_language([text], "en") == [False]


@pytest.mark.parametrize(
    "text", ["", "Hello world", "12,5 % 1.000.000 2024 17:30 99/100 12345", "Velmora Line", "1234567890 " * 5]
)
def test_texts_that_say_little_pass_for_any_language(text: str) -> None:
    for language in ("tr", "en", "zh", "ar"):
        assert in_other_language([text], language) == [False]


def test_a_doubtful_text_passes_for_each_of_two_close_languages() -> None:
    text = "Vlada je odlučila povećati minimalnu plaću od januara naredne godine, saopćilo je ministarstvo."
    assert [in_other_language([text], language) for language in ("bs", "hr", "sr", "sl", "tr")] == [
        [False],
        [False],
        [False],
        [True],
        [True],
    ]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("pt-br", "O governo vai aumentar o salário mínimo a partir de janeiro do próximo ano."),
        ("nb", "Regjeringen vil senke skatten på arbeid og bruke mer penger på skoler neste år."),
        ("zh-hant", "政府宣布明年一月起提高最低工資標準，工會表示歡迎。"),
        ("sr-latn", "Vlada je odlučila da poveća minimalnu platu od januara sledeće godine."),
    ],
)
def test_codes_with_a_region_or_script_stand_for_their_language(language: str, text: str) -> None:
    assert in_other_language([text, TEXTS["de"]], language) == [False, True]


def test_unknown_languages_are_named_not_guessed() -> None:
    assert [code for code in ("tr", "pt-br", "nb", "cy", "rn", "ti", "xx") if not is_identifiable(code)] == [
        "rn",
        "ti",
        "xx",
    ]
    with pytest.raises(ValueError, match="'ti' is unknown"):
        in_other_language(["kar"], "ti")


def test_language_is_identified():
    assert {identify_language(text): text for text in TEXTS.values()} == TEXTS


def test_language_is_named_as_the_model_names_it():
    assert identify_language(TEXTS["zh"], known=["en", "zh-Hans"]) == "zh-Hans"
    assert identify_language(TEXTS["zh"], known=["en", "tr"]) == "zh"


@pytest.mark.parametrize("text", ["", "Kısa.", "12345 67890 12345 67890 12345"])
def test_text_that_says_too_little_has_no_language(text):
    assert identify_language(text) is None
