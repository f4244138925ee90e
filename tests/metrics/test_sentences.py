import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics.sentences import SENTENCE_END, sentence_spans, sentences

# What is meant, written without a thought for rows of marks.
DEFINITION = re.compile(r"[.!?…؟۔।॥։።។]+[\"'”’»)\]]*(?=\s)|[。！？｡။]+[」』”’）]*")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yağdı. Durdu! Peki şimdi? Bitti", ["Yağdı.", "Durdu!", "Peki şimdi?", "Bitti"]),
        ("%3.5 arttı... “Yeter!” dedi.", ["%3.5 arttı...", "“Yeter!”", "dedi."]),
        ("雨だ。「本当？」晴れ。", ["雨だ。", "「本当？」", "晴れ。"]),
        ("मैं गया। वह आई॥ फिर", ["मैं गया।", "वह आई॥", "फिर"]),
        ("هل جاء؟ نعم.", ["هل جاء؟", "نعم."]),
        ("یہ گھر ہے۔ وہ باغ ہے۔", ["یہ گھر ہے۔", "وہ باغ ہے۔"]),
        ("ሰላም። ደህና።", ["ሰላም።", "ደህና።"]),
        ("မိုးရွာသည်။နေပူသည်။", ["မိုးရွာသည်။", "နေပူသည်။"]),
        ("Manşet\nİlk cümle. İkincisi.\n\n", ["Manşet", "İlk cümle.", "İkincisi."]),
        ("雨だ！本当？晴れ｡", ["雨だ！", "本当？", "晴れ｡"]),
        (
            "雨だ!本当?「晴れ!」終わり.次",
            ["雨だ!", "本当?", "「晴れ!」", "終わり.", "次"],
        ),  # as the tokenizer spells it
        ("東京.jpは３．５％、Yahoo!ニュース", ["東京.jpは３．５％、Yahoo!ニュース"]),
        ("終わり．次", ["終わり．", "次"]),
        ("ភ្លៀងធ្លាក់។\u200bក្តៅ។", ["ភ្លៀងធ្លាក់។", "\u200bក្តៅ។"]),
        ("မိုး၊ လေ။နေ", ["မိုး၊ လေ။", "နေ"]),
        ("ܐܒ܁ ܓܕ", ["ܐܒ܁", "ܓܕ"]),
        ("Bir\u2028İki\rÜç\r\nDört\n\u200b\nBeş", ["Bir", "İki", "Üç", "Dört", "Beş"]),
        ("ฝนตก ถนนปิด", ["ฝนตก ถนนปิด"]),
        ("  Bir.  İki.  ", ["Bir.", "İki."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_end_at_their_marks_and_at_line_breaks(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="ab .!?\n\t。」।", max_size=30))
def test_sentences_lose_nothing_but_white_space(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in sentences(text))
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences(text)


@given(st.text(alphabet=".!…။。」”’\"' a", max_size=40))
@settings(max_examples=500)
def test_rows_of_marks_end_a_sentence_where_they_did_in_the_plain_definition(text: str) -> None:
    found, expected = ([match.span() for match in pattern.finditer(text)] for pattern in (SENTENCE_END, DEFINITION))
    assert found == expected


@pytest.mark.parametrize("row", ["." * 300_000, "." + '"' * 300_000, '."' * 150_000, "။." * 150_000, "!a" * 150_000])
def test_a_row_of_marks_takes_no_quadratic_time(row: str) -> None:
    """Would take minutes."""
    assert sentences(f"{row}x") in ([f"{row}x"], ["။", *[".။"] * 149_999, ".x"])
