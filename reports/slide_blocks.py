"""Points and tables as lines of text with their places, in the largest letters with which they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.text_layout import line_height, text_width, wrapped

Table = Sequence[Sequence[str]]
POINT_SIZES = (20.0, 18.0, 16.0, 14.0, 12.0)
TABLE_SIZES = (18.0, 16.0, 14.0, 13.0, 12.0, 11.0, 10.0)
_INDENT = 0.3  # inches, of a point behind its bullet
_GAP = 0.35  # of a line, between points and around the rows of a table
_COLUMN_GAP = 1.6  # widths of a letter


@dataclass(frozen=True)
class Line:
    """A line of text in a block.

    Attributes:
        text: What stands there.
        x: Inches from the left of the body.
        y: Inches from the block's top to the line's foot.
        size: Of the letters, in points.
        bold: Whether they are bold.
    """

    text: str
    x: float
    y: float
    size: float
    bold: bool = False


@dataclass(frozen=True)
class Block:
    """What stands on one slide or on the next, but is not divided.

    Attributes:
        lines: Its text.
        height: Inches, the space to the next block included.
        ruled: Whether a line is drawn at its foot.
    """

    lines: tuple[Line, ...]
    height: float
    ruled: bool = False


def point_blocks(points: Sequence[str], width: float, height: float) -> list[Block]:
    """Paragraphs with bullets, one block a line.

    Args:
        points: The paragraphs.
        width: Inches that there are.
        height: Inches that should suffice; the smallest letters may need more.
    """
    for size in POINT_SIZES:
        blocks = [block for point in points for block in _point(point, width, size)]
        if sum(block.height for block in blocks) <= height:
            break
    return blocks


def table_blocks(table: Table, width: float, height: float) -> list[Block]:
    """Rows of a table, the head first; cells are wrapped where even the smallest letters are too wide.

    Args:
        table: The head and the rows, of one length.
        width: Inches that there are.
        height: Inches that should suffice; letters that fit in width but not in height are kept.
    """
    fitting = [size for size in TABLE_SIZES if sum(_column_widths(table, size)) <= width]
    for size in fitting:
        blocks = _rows(table, _column_widths(table, size), size)
        if sum(block.height for block in blocks) <= height:
            return blocks
    size = fitting[-1] if fitting else TABLE_SIZES[-1]
    return _rows(table, _narrowed(_column_widths(table, size), width), size)


def _point(text: str, width: float, size: float) -> list[Block]:
    step, gap = line_height(size), _GAP * line_height(size)
    lines = wrapped(text, size, width - _INDENT)
    blocks = [Block((Line(line, _INDENT, step, size),), step) for line in lines]
    bullet = Line("•", 0.0, step, size)
    blocks[0] = Block((bullet, *blocks[0].lines), blocks[0].height)
    blocks[-1] = Block(blocks[-1].lines, step + gap)
    return blocks


def _rows(table: Table, widths: Sequence[float], size: float) -> list[Block]:
    step, gap = line_height(size), _GAP * line_height(size)
    space = _COLUMN_GAP * text_width("x", size)
    blocks = []
    for number, row in enumerate(table):
        x, lines, most = 0.0, [], 1
        for cell, width in zip(row, widths, strict=True):
            texts = wrapped(cell, size, width - space, bold=not number)
            lines += [Line(text, x, (place + 1) * step, size, not number) for place, text in enumerate(texts)]
            x, most = x + width, max(most, len(texts))
        blocks.append(Block(tuple(lines), most * step + gap, ruled=True))
    return blocks


def _column_widths(table: Table, size: float) -> list[float]:
    space = _COLUMN_GAP * text_width("x", size)
    columns = zip(*table, strict=True)
    # A hair more, so that rounding never breaks the widest cell.
    return [
        max(text_width(cell, size, place == 0) for place, cell in enumerate(column)) + space + 0.01
        for column in columns
    ]


def _narrowed(widths: Sequence[float], total: float) -> list[float]:
    """Widths with a cap on the widest, such that their sum is at most `total`."""
    narrow = list(widths)
    while sum(narrow) > total + 1e-6:
        widest = max(narrow)
        others = [width for width in narrow if width < widest]
        count = len(narrow) - len(others)
        cap = max((total - sum(others)) / count, max(others, default=0.0))
        narrow = [min(width, cap) for width in narrow]
    return narrow
