"""Texts that the tokenizer cannot tell apart are equal to every measure."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datamodules.validation import article_key
from metrics.collapse import collapse
from metrics.faithfulness import faithfulness
from metrics.lead import lead_words
from metrics.normal_form import normal_form
from metrics.novelty import novelty
from metrics.rouge import rouge
from metrics.source_sentences import source_sentences
from metrics.words import lowercase, words

# Casing of its own; words by dictionary; neither.
LANGUAGES = ("tr", "az", "th", "ja", "zh", "lo", "km", "my", "el", "de", "lt", "ar", "fa", "he", "ko", "vi", "en")
# Characters that were there before both the tokenizer's tables and this Python's.
CHARACTERS = [
    chr(code)
    for code in range(0x110000)
    if unicodedata.ucd_3_2_0.category(chr(code)) not in ("Cn", "Cs", "Co") and chr(code) != "\0"
]
FOLDED = [one for one in CHARACTERS if unicodedata.normalize("NFKC", one) != one]
MARKS = [one for one in CHARACTERS if unicodedata.category(one)[0] == "M"]
TEXTS = st.one_of(
    st.text(st.sampled_from(CHARACTERS), max_size=30),
    st.text(st.sampled_from([*FOLDED, *MARKS, *"abcIİiı \n"]), max_size=20),
    st.text(
        st.sampled_from("กำน้ำท่วมัໍານ້ຳໜ東京ｶﾞカ゛한ᄒ\u1161\u11abﻻلاًİIıi\u0307ﬁ½²Ⅳ㌔ﾊﾟ…．！？。１ \u200b\u200f\ufe0f"),
        max_size=20,
    ),
)
# Script by script, what a model cannot write as it stands.
WRITTEN_OTHERWISE = {
    "th": "น้ำท่วมทำให้ถนนปิด",
    "lo": "ນ້ຳຖ້ວມ ໜັງສື",
    "ja": "１０億円、㌔ｶﾞｽ東京！？",
    "zh": "２０２４年，⾦北京",
    "en": "Ｆｕｌｌ ﬁre…½ m² №5 Ⅳ Apple™ x\u00adray",
    "ar": "ﺍﻟﺴﻼﻡ ﻋﻠﻴﻜﻢ ﻻً ﷺ مـــرحبا\u200f",
    "he": "שׁלום ﬡבג",
    "fa": "می\u200cخواهم",
    "ko": "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165 ㈜한국",
    "vi": unicodedata.normalize("NFD", "Việt Nam nước lũ"),
    "tr": "i̇stanbul 12\u00a0345 kişi",
    "lt": "i\u0307\u0300r Ì…",
    "el": "ΟΔΟΣ ΐ ﾟ",
    "de": "STRASSE straße ẞ ﬂink",
    "hi": "\u0958लम क्\u200dष",
}


@pytest.fixture(scope="module")
def round_trip(tiny_tokenizer):
    """What a perfect model would write for a text."""
    return lambda text: tiny_tokenizer.decode(tiny_tokenizer(text, add_special_tokens=False).input_ids)


def joined(text: str) -> str:
    return " ".join(text.split())


def test_every_character_has_the_form_that_the_tokenizer_gives_it(tiny_tokenizer) -> None:
    read = tiny_tokenizer.backend_tokenizer.normalizer.normalize_str
    text = "".join(f"x{one}y\n" for one in CHARACTERS)  # folded between two letters, and apart from its neighbours
    expected = [joined(normal_form(line)) for line in read(text).split("y ")]
    found = [joined(line) for line in normal_form(text).split("y\n")]
    assert len(found) == len(CHARACTERS) + 1
    assert [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []


@given(TEXTS)
@settings(max_examples=300)
def test_form_is_a_fixed_point(text: str) -> None:
    assert normal_form(normal_form(text)) == normal_form(text)


@given(text=TEXTS, language=st.sampled_from(LANGUAGES))
@example(text="ﻻً", language="ar")
@example(text="1 ⒈ 1", language="en")  # a sentence more in the form that the tokenizer has
@example(text="\u0e33" * 3, language="th")
@settings(max_examples=500)
def test_reference_scores_in_full_against_what_the_tokenizer_makes_of_it(round_trip, text, language) -> None:
    written = round_trip(text)
    found = words(lowercase(text, language))
    assert found == words(lowercase(written, language))
    scores = rouge([written], [text], language)
    assert scores["rouge1"] == scores["rougeL"] == scores["rougeLsum"] == [100.0 if found else 0.0]
    assert scores["rouge2"] == [100.0 if len(found) > 1 else 0.0]


@given(TEXTS)
@settings(max_examples=500)
def test_articles_of_equal_tokens_are_one_article(round_trip, text) -> None:
    assert article_key(round_trip(text)) == article_key(text)


@pytest.mark.parametrize("language", WRITTEN_OTHERWISE)
def test_all_measures_take_a_text_and_what_the_tokenizer_makes_of_it_for_the_same(round_trip, language) -> None:
    text = WRITTEN_OTHERWISE[language]
    written = round_trip(text)
    assert written != text
    assert rouge([written], [text], language)["rouge1"] == [100]
    assert lead_words([text], 2) == [normal_form(one) for one in lead_words([written], 2)]
    assert collapse([text], [text], [written], language)["copied"] == [1]
    new = novelty([text], [written], language)
    assert new["novel_unigrams"] == [0] and new["coverage"] == [1]
    assert sum(sentence.share for sentence in source_sentences(text, written, language)) == pytest.approx(1)
    figures = faithfulness([text], [written], language)
    assert all(figures[f"supported_{kind}"] == figures[kind] for kind in ("numbers", "names") if kind in figures)


@pytest.mark.parametrize(
    "text", ["❤️", "☀️", "👩🏽‍🚒", "👍🏿", "🇹🇷", "#️⃣", "\u0301", "\u200d", "\u200b\ufeff", "\u20e3 \ufe0f", "…"]
)
def test_emoji_and_marks_by_themselves_are_no_words(text: str) -> None:
    assert words(text) == []
    assert rouge([text], ["☀️"], "en")["rouge1"] == [0]
    assert collapse(["Kar yağdı."], ["Kar."], [text], "tr")["empty"] == [1]


def test_line_breaks_stay_since_they_end_sentences() -> None:
    assert normal_form("Ｂir\niki\u200büç") == "Bir\niki üç"
