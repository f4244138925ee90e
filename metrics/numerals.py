"""Numbers in digits, read by the conventions of a language: 1.234,5 in Turkish is 1,234.5 in English."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import regex

from metrics.words import base_code, lowercase

# CLDR's decimal separators of the languages that a news corpus is likely to have.
_DECIMAL_COMMA = (
    "af az be bg bs ca cs da de el es et eu fi fr gl hr hu hy id is it ka kk ky lt lv mk nb nl no pl pt ro ru sk sl sq "
    "sr sv tr uk uz vi"
)
_DECIMAL_POINT = "am ar bn cy en fa ga gu he hi ja km ko lo ml mr ms my ne pa si so sw ta te th ur zh"
# Words that multiply the number before them. Abbreviations such as "m" also mean metres: they are left out.
_SCALES = {
    "tr": {"bin": 3, "milyon": 6, "milyar": 9, "trilyon": 12},
    "en": {"thousand": 3, "million": 6, "billion": 9, "bn": 9, "trillion": 12},
    "it": {"mila": 3, "milione": 6, "milioni": 6, "miliardo": 9, "miliardi": 9},
}
# Digits behind a letter belong to a name (Covid19, G20). Spaces between thousands are those that do not break a line.
_NUMERAL = regex.compile(r"(?<![\p{L}\p{M}\p{N}]|\d[.,])\d+(?:[.,٫٬]\d+|[\u00A0\u202F]\d{3}(?!\d))*")
_THOUSANDS = str.maketrans("", "", "\u00a0\u202f٬")
_NEXT_WORD = regex.compile(r"[\s\u00A0]*(\p{L}+)")


@dataclass(frozen=True)
class Numeral:
    """A number in a text.

    Attributes:
        start: Where it begins.
        end: Where its digits end.
        value: What it means, a following word such as "million" multiplied in; without sign and unit.
    """

    start: int
    end: int
    value: Decimal


def knows_numerals(language: str) -> bool:
    """Whether the conventions of a language are known."""
    return base_code(language) in f"{_DECIMAL_COMMA} {_DECIMAL_POINT}".split()


def numerals(text: str, language: str) -> list[Numeral]:
    """Finds the numbers that are written in digits, of any script.

    A mark that cannot be the language's separator of thousands (three digits must follow) is taken for a decimal mark,
    as in Turkish "3.5"; what is left over, such as dates and scores, is several numbers. Signs and units do not count.
    Spelled numbers are not found, nor those inside a word, such as "G20".

    Args:
        text: Any text.
        language: Its language.

    Raises:
        ValueError: If the conventions of the language are not known.

    Example:
        >>> [str(one.value) for one in numerals("1.234,5 lira, 12 bin kişi, %50", "tr")]
        ['1234.5', '12000', '50']
    """
    if not knows_numerals(language):
        raise ValueError(
            f"How {language!r} writes thousands and decimals is not known here, so that its numbers cannot be "
            "compared; leave them out for this language."
        )
    grouping, decimal = (".", ",") if base_code(language) in _DECIMAL_COMMA.split() else (",", ".")
    scales = _SCALES.get(base_code(language), {})
    return [
        Numeral(start, end, value * 10 ** _exponent(text, end, language, scales))
        for match in _NUMERAL.finditer(text)
        for start, end, value in _read(match.group(), match.start(), grouping, decimal)
    ]


def _read(digits: str, start: int, grouping: str, decimal: str) -> Iterator[tuple[int, int, Decimal]]:
    """The number that a run of digits and marks is, or the numbers that it is made of."""
    plain = _ascii(digits)
    integer, mark, fraction = plain.partition(decimal)
    if _is_grouped(integer, grouping) and (not mark or fraction.isdecimal()):
        yield start, start + len(digits), Decimal(integer.replace(grouping, "") + ("." + fraction if mark else ""))
    elif plain.count(grouping) == 1 and decimal not in plain:
        yield start, start + len(digits), Decimal(plain.replace(grouping, "."))
    elif _is_grouped(plain.partition(grouping)[0], decimal) and plain.partition(grouping)[2].isdecimal():
        # The other convention, beyond doubt: 1,234.5 in a Turkish text.
        yield start, start + len(digits), Decimal(plain.replace(decimal, "").replace(grouping, "."))
    else:
        for part in regex.finditer(r"\d+", digits):
            yield start + part.start(), start + part.end(), Decimal(_ascii(part.group()))


def _is_grouped(integer: str, grouping: str) -> bool:
    first, *groups = integer.split(grouping)
    return first.isdecimal() and all(len(group) == 3 and group.isdecimal() for group in groups)


def _ascii(digits: str) -> str:
    """Digits of any script as 0 to 9, Arabic's decimal mark as a point, thousands closed up."""
    closed = digits.translate(_THOUSANDS).replace("٫", ".")
    return "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in closed)


def _exponent(text: str, end: int, language: str, scales: dict[str, int]) -> int:
    """Of ten, by the word that follows a number; 0 for any other word."""
    following = _NEXT_WORD.match(text, end) if scales else None
    return scales.get(lowercase(following.group(1), language), 0) if following else 0
