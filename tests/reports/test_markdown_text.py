import re
from pathlib import Path

import pytest

from reports.card_tables import table
from reports.markdown_text import plain
from reports.page import markdown_to_html


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
        shown = visible(markdown_to_html(markdown, Path())).removeprefix("head").removeprefix("x:").strip()
        assert shown == text.replace("&", "&amp;")


def test_markup_in_texts_stays_text() -> None:
    html = markdown_to_html(f"{plain('<b>bold</b>')} <script>alert(1)</script>", Path())
    assert "<b>" not in html and "<script>" not in html
