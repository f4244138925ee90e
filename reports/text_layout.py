"""How wide texts are in matplotlib's own font, and where to break their lines."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

LINE_SPACING = 1.3
_POINTS_AN_INCH = 72
_MEASURED = 20.0


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line in inches; its words are measured one by one, which kerning at spaces changes by a hair.

    Args:
        text: The line.
        size: Of the font, in points.
        bold: Whether it is set in bold.
    """
    words = text.split(" ")
    widths = sum(_word_width(word, bold) for word in words) + (len(words) - 1) * _word_width(" ", bold)
    return widths * size / _POINTS_AN_INCH


def line_height(size: float) -> float:
    """Inches from one line to the next."""
    return LINE_SPACING * size / _POINTS_AN_INCH


def wrapped(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """Breaks a text between words so that no line is wider than `width` inches; a longer word is broken inside."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if text_width(longer, size, bold) <= width:
            lines[-1:] = [longer]
        else:
            lines += _pieces(word, size, width, bold)
    return lines or [""]


def can_be_drawn(text: str) -> bool:
    """Whether matplotlib's font has all characters, and they are written from left to right."""
    known = get_font(findfont(FontProperties())).get_charmap()
    return all(ord(one) in known and unicodedata.bidirectional(one) not in ("R", "AL") for one in "".join(text.split()))


@lru_cache(maxsize=100_000)
def _word_width(word: str, bold: bool) -> float:
    """In sizes of the font."""
    font = FontProperties(size=_MEASURED, weight="bold" if bold else "normal")
    return text_to_path.get_text_width_height_descent(word, font, ismath=False)[0] / _MEASURED


def _pieces(word: str, size: float, width: float, bold: bool) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and text_width(pieces[-1] + character, size, bold) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces
