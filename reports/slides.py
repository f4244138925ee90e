"""A deck of slides as a PDF, 16:9: titles over points, tables and pictures, continued where they do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import image
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reports.slide_blocks import Block, Line, point_blocks, table_blocks
from reports.text_layout import line_height, wrapped

WIDTH, HEIGHT, MARGIN = 13.333, 7.5, 0.7  # inches
_TITLE_SIZE, _NOTE_SIZE, _FOOT_SIZE = 26.0, 12.0, 10.0  # points
_TITLE_TOP, _FOOT = 0.45, 0.6
_LEAST_PICTURE = 3.0
_GREY = "#555555"
# Letters that can be searched and copied.
_PDF: Any = {"pdf.fonttype": 42}


@dataclass(frozen=True)
class Slide:
    """One thing to say.

    Attributes:
        title: What the slide says.
        points: Paragraphs, each with a bullet.
        table: Rows of cells below the points; the first is the head.
        picture: PNG below the points.
        note: Small print at the foot.
    """

    title: str
    points: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    picture: Path | None = None
    note: str = ""


def write_slides(title: str, slides: Sequence[Slide], path: Path) -> Path:
    """Writes the deck.

    Args:
        title: Of the document; stands at the foot of each page.
        slides: In their order.
        path: Of the PDF; its folder is made.

    Returns:
        `path`.
    """
    pages = [page for slide in slides for page in draw(slide)]
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date, so that one report gives one file.
    with matplotlib.rc_context(_PDF), PdfPages(path, metadata={"Title": title, "CreationDate": None}) as file:
        for number, page in enumerate(pages, start=1):
            _put(page, Line(f"{number} of {len(pages)} · {title}", 0, 0, _FOOT_SIZE), HEIGHT - _FOOT / 2, color=_GREY)
            file.savefig(page)
    return path


def draw(slide: Slide) -> list[Figure]:
    """The pages of a slide: one, or more where its points or its table do not fit in the smallest letters."""
    pages = _Pages(slide)
    alone = not slide.table and slide.picture is None
    for block in point_blocks(slide.points, pages.width, pages.left_over() * (1 if alone else 0.5)):
        pages.add(block)
    if slide.table:
        head, *rows = table_blocks(slide.table, pages.width, pages.left_over())
        pages.add(head)
        for row in rows:
            pages.add(row, head)
    if slide.picture is not None:
        pages.add_picture(slide.picture)
    return pages.figures


class _Pages:
    """Fills pages from the top down."""

    width = WIDTH - 2 * MARGIN

    def __init__(self, slide: Slide) -> None:
        self._title, self._note = slide.title, wrapped(slide.note, _NOTE_SIZE, self.width) if slide.note else []
        self._bottom = HEIGHT - _FOOT - len(self._note) * line_height(_NOTE_SIZE)
        self.figures: list[Figure] = []
        self._begin(self._title)

    def left_over(self) -> float:
        """Inches below what stands on the page."""
        return self._bottom - self._y

    def add(self, block: Block, head: Block | None = None) -> None:
        """Places a block, on a further page below `head` if there is no room."""
        if block.height > self.left_over():
            self._begin(f"{self._title} (continued)")
            if head is not None:
                self.add(head)
        for line in block.lines:
            _put(self.figures[-1], line, self._y)
        self._y += block.height
        if block.ruled:
            places, height = (MARGIN / WIDTH, 1 - MARGIN / WIDTH), 1 - self._y / HEIGHT
            self.figures[-1].add_artist(Line2D(places, (height, height), color="#bbbbbb", linewidth=0.7))

    def add_picture(self, file: Path) -> None:
        """Places a picture as large as there is room."""
        if self.left_over() < _LEAST_PICTURE:
            self._begin(f"{self._title} (continued)")
        pixels = image.imread(file)
        room = (
            MARGIN / WIDTH,
            1 - (self._bottom - 0.1) / HEIGHT,
            self.width / WIDTH,
            (self.left_over() - 0.1) / HEIGHT,
        )
        axes = self.figures[-1].add_axes(room)
        axes.imshow(pixels, interpolation="none")
        axes.set_axis_off()
        self._y = self._bottom

    def _begin(self, title: str) -> None:
        page = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
        self.figures.append(page)
        self._y = _TITLE_TOP
        for text in wrapped(title, _TITLE_SIZE, self.width, bold=True):
            self._y += line_height(_TITLE_SIZE)
            _put(page, Line(text, 0, 0, _TITLE_SIZE, bold=True), self._y)
        self._y += 0.35
        for number, text in enumerate(self._note):
            _put(page, Line(text, 0, (number + 1) * line_height(_NOTE_SIZE), _NOTE_SIZE), self._bottom, color=_GREY)


def _put(page: Figure, line: Line, top: float, color: str = "black") -> None:
    """Writes a line whose block begins `top` inches below the page's upper edge."""
    weight = "bold" if line.bold else "normal"
    place = (MARGIN + line.x) / WIDTH, 1 - (top + line.y) / HEIGHT
    page.text(*place, line.text, fontsize=line.size, fontweight=weight, color=color, va="baseline", parse_math=False)
