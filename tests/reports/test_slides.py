"""Slides: nothing runs over the page or over something else, and nothing is lost."""

import itertools
import re
from pathlib import Path

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reports.slide_blocks import point_blocks, table_blocks
from reports.slides import HEIGHT, MARGIN, WIDTH, Slide, draw, write_slides
from reports.text_layout import can_be_drawn, text_width, wrapped

LONG = "Vapur seferleri fırtına nedeniyle iki gün boyunca durduruldu, $5 ve {a}_b^c ödendi. " * 4
HEAD = ("system", "ROUGE-1", "ROUGE-2", "ROUGE-L", "what it did")


def texts(page: Figure) -> list[str]:
    return [one.get_text() for one in page.texts]


def require_tidy(page: Figure) -> None:
    """No text leaves the page's margins or touches another."""
    page.set_dpi(300)  # at few dots an inch letters are wider than in the PDF
    renderer = FigureCanvasAgg(page).get_renderer()
    boxes = {number: one.get_window_extent(renderer) for number, one in enumerate(page.texts)}
    edge = MARGIN * page.dpi
    for box in boxes.values():
        assert box.x0 >= edge - 10 and box.x1 <= WIDTH * page.dpi - edge + 10, page.texts
        assert box.y0 >= 0 and box.y1 <= HEIGHT * page.dpi
    for one, other in itertools.combinations(boxes.values(), 2):
        overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(overlap) <= 1


@pytest.mark.parametrize(
    "slide",
    [
        Slide("A short one", ("One point.",), note="Small print."),
        Slide("A title that is far too long for a line of its own " * 2, (LONG,) * 12, note=LONG * 2),
        Slide("Table", table=(HEAD, *((f"system {n}", "31.42 [30.11, 32.95]", "1", "2", "x") for n in range(60)))),
        Slide("Wide", ("A point.",), table=(HEAD, *((LONG, "31.42", "1.5 [1, 2]", "Ğ", LONG),) * 5), note="n"),
    ],
    ids=["short", "long", "many-rows", "wide"],
)
def test_no_text_leaves_its_page_or_touches_another_and_none_is_lost(slide):
    pages = draw(slide)
    for page in pages:
        require_tidy(page)
    shown = " ".join(text for page in pages for text in texts(page))
    said = [*slide.points, *itertools.chain(*slide.table), slide.note]
    for word in set(" ".join(said).split()):
        assert shown.count(word) >= sum(one.split().count(word) for one in said), word


def test_each_further_page_of_a_table_repeats_its_head():
    pages = draw(Slide("Table", table=(HEAD, *((str(number),) * 5 for number in range(100)))))
    assert len(pages) > 1
    assert all("ROUGE-L" in texts(page) for page in pages)
    assert [texts(page)[0] for page in pages] == ["Table"] + ["Table (continued)"] * (len(pages) - 1)


def test_little_text_is_set_in_larger_letters_than_much():
    few, many = ({line.size for one in point_blocks((LONG,) * count, 12, 5) for line in one.lines} for count in (1, 9))
    assert (few, min(many) < 20) == ({20.0}, True)
    narrow, wide = (table_blocks((HEAD, ("x" * count,) * 5), 12, 5)[0].lines[0].size for count in (3, 25))
    assert narrow == 18 > wide


def test_a_line_is_no_wider_than_asked_for_and_long_words_are_broken():
    lines = wrapped(f"{LONG} {'ğ' * 200}", 14, 3)
    assert max(text_width(line, 14) for line in lines) <= 3
    assert "".join(lines).replace(" ", "") == (LONG + "ğ" * 200).replace(" ", "")
    assert wrapped("", 14, 3) == [""]


@pytest.mark.parametrize(("text", "drawn"), [("Çığ düştü: 5 °C", True), ("日本", False), ("שלום", False)])
def test_letters_that_the_font_lacks_are_known(text, drawn):
    assert can_be_drawn(text) == drawn


def test_a_deck_is_one_pdf_with_a_picture_and_is_the_same_each_time(tmp_path: Path):
    picture = tmp_path / "picture.png"
    matplotlib.image.imsave(picture, [[0.0, 1.0], [1.0, 0.0]])
    slides = [Slide("One", ("A point.",)), Slide("Two", picture=picture, note="A note.")]
    first, second = (write_slides("A deck", slides, tmp_path / name / "slides.pdf").read_bytes() for name in "ab")
    assert first == second
    assert len(re.findall(rb"/Type /Page\b", first)) == 2
    (width, height) = map(float, re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", first).groups())
    assert width / height == pytest.approx(16 / 9, rel=1e-4)
    (one, two) = (page for slide in slides for page in draw(slide))
    assert (len(one.axes), len(two.axes)) == (0, 1)
