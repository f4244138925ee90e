from decimal import Decimal

import pytest

from metrics.numerals import knows_numerals, numerals


def values(text: str, language: str) -> list[str]:
    return [f"{one.value.normalize():f}" for one in numerals(text, language)]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("1.234,5 lira ve 1.000.000 kişi", "tr", ["1234.5", "1000000"]),
        ("1,234.5 dollars and 1,000,000 people", "en", ["1234.5", "1000000"]),
        ("1.234 kişi", "tr", ["1234"]),
        ("1.234 seconds", "en", ["1.234"]),
        ("0,5 puan", "tr", ["0.5"]),
        ("3.5 puan, 12.30'da", "tr", ["3.5", "12.3"]),  # no thousands: a decimal mark of another convention
        ("1,234.5 dolar", "tr", ["1234.5"]),
        ("12.05.2020 tarihinde 2-1", "tr", ["12", "5", "2020", "2", "1"]),
        ("%50'si, -3 derece, 2024'te", "tr", ["50", "3", "2024"]),
        ("1\u202f234,5 km, 12 345 km", "fr", ["1234.5", "12", "345"]),
        ("١٬٢٣٤٫٥", "ar", ["1234.5"]),
        ("12 bin kişi, 1,5 Milyon lira", "tr", ["12000", "1500000"]),
        ("1.5 million; £2bn", "en", ["1500000", "2000000000"]),
        ("10mila euro, 3 milioni", "it", ["10000", "3000000"]),
        ("Covid19, G20 and F-16", "en", ["16"]),
        ("no numbers: ½ ten", "en", []),
    ],
)
def test_numbers_are_read_by_the_conventions_of_the_language(text: str, language: str, expected: list[str]) -> None:
    assert values(text, language) == expected


def test_a_span_is_that_of_the_digits() -> None:
    text = "yaklaşık 12 bin kişi, 1.234,5"
    assert [(text[one.start : one.end], one.value) for one in numerals(text, "tr")] == [
        ("12", Decimal(12000)),
        ("1.234,5", Decimal("1234.5")),
    ]


def test_a_language_of_unknown_conventions_is_refused() -> None:
    assert knows_numerals("pt-br") and not knows_numerals("tlh")
    with pytest.raises(ValueError, match="How 'tlh' writes thousands"):
        numerals("1,5", "tlh")
