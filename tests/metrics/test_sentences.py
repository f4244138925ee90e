import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.sentences import sentence_spans, sentences


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
