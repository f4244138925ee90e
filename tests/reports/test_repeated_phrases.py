import pytest

from reports.repeated_phrases import shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("They were to be to be to be to be here.", "They were to be … (×4) here."),
        ("A yn yn yn", "A yn … (×3)"),
        ("Balıkesir’in, Balıkesir’in, Balıkesir’in, ve bus", "Balıkesir’in, … (×3) ve bus"),
        ("yn yn twice is left alone", "yn yn twice is left alone"),
        ("the man then the man then he", "the man then the man then he"),
        ("banana na na", "banana na na"),  # no part of a word counts
        ("na na na nab", "na … (×3) nab"),
        ("a b a b a b c c c d", "a b … (×3) c … (×3) d"),
        ("", ""),
    ],
)
def test_repeated_phrases_stand_once_with_their_count(text: str, expected: str) -> None:
    assert shortened(text) == expected


def test_the_shortest_phrase_is_counted_and_long_ones_are_found() -> None:
    phrase = "one two three four five six seven eight nine ten eleven twelve"
    assert shortened(f"{phrase} {phrase} {phrase}") == f"{phrase} … (×3)"
    assert shortened("to " * 40) == "to … (×40) "


def test_what_is_long_without_repetition_is_cut_between_words() -> None:
    text = " ".join(f"word{number}" for number in range(200))
    short = shortened(text)
    assert len(short) <= 502 and short.endswith(" …") and text.startswith(short.removesuffix(" …") + " ")
