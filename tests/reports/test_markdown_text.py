import re
from pathlib import Path

import pytest
from PIL import Image

from reports.card_tables import table
from reports.section import Section, embedded, plain, render, section, write_page


def visible(html: str) -> str:
    return re.sub(r"<[^>]*>", "", html).strip()


@pytest.mark.parametrize(
    "text",
    [
        "*a* _b_ `c` [d](e) # f",
        "- item",
        "3. item",
        "+ x",
        "a | b",
        "~~x~~",
        "&amp; \\ {x}",
        "C:\\ends\\",
        "!",
        "===",
        "",
    ],
)
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    for markdown in (plain(text), f"- x: {plain(text)}", table(["head"], [[plain(text)]])):
        shown = visible(render(markdown)).removeprefix("head").removeprefix("x:").strip()
        assert shown == text.replace("&", "&amp;")


def test_markup_in_texts_stays_text() -> None:
    html = section("x", f"{plain('<b>bold</b>')} <script>alert(1)</script>").html
    assert "<b>" not in html and "<script>" not in html


def test_a_page_holds_its_sections_and_their_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    picture = Section("Second", "![x](a.png)", embedded(tmp_path / "a.png", 'a "picture"'))
    paths = write_page("A <page>", [section("First_one", "| a |\n| --- |\n| 1 |"), picture], tmp_path / "out", "report")
    markdown, html = (path.read_text() for path in paths)
    assert [path.name for path in paths] == ["report.md", "report.html"]
    assert "# A \\<page\\>\n\n## First\\_one\n\n| a |" in markdown and "![x](a.png)" in markdown
    assert "<title>A &lt;page&gt;</title>" in html and "<h2>First_one</h2>" in html and "<td>1</td>" in html
    assert 'src="data:image/png;base64,iVBOR' in html and "a &quot;picture&quot;" in html
