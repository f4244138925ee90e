"""Parts of a report, each as Markdown and as HTML, and pages made of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from reports.atomic_write import write_text

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#~&])")
# What would begin a list at a line's beginning.
_LIST = re.compile(r"^(\d*)([-+=.)])")
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3rem .7rem; text-align: left; vertical-align: top }}
img {{ max-width: 100% }}
mark {{ color: inherit }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        title: Its heading, as plain text.
        markdown: Its content, without the heading; pictures are links to files beside it.
        html: The same, complete in itself: pictures and scripts are in it.
    """

    title: str
    markdown: str
    html: str


def section(title: str, markdown: str) -> Section:
    """A section whose HTML is its Markdown rendered; HTML in it stays text."""
    return Section(title, markdown, render(markdown))


def render(markdown: str) -> str:
    """HTML of Markdown with tables."""
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).render(markdown)


def plain(text: str) -> str:
    """A text in one line that Markdown shows as it is; in a table, `card_tables.table` escapes what else is needed."""
    return _LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))


def embedded(picture: Path, description: str) -> str:
    """A PNG or SVG as HTML that holds the file itself."""
    kind = {".png": "png", ".svg": "svg+xml"}[picture.suffix]
    data = base64.b64encode(picture.read_bytes()).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{escape(description)}">'


def write_page(title: str, sections: Sequence[Section], output: Path, name: str) -> list[Path]:
    """Writes `NAME.md` and a self-contained `NAME.html` into a folder.

    Returns:
        Both paths.
    """
    markdown = "".join(f"## {plain(one.title)}\n\n{one.markdown.strip()}\n\n" for one in sections)
    body = "\n".join(f"<section>\n<h2>{escape(one.title)}</h2>\n{one.html}\n</section>" for one in sections)
    paths = [output / f"{name}.md", output / f"{name}.html"]
    write_text(paths[0], f"# {plain(title)}\n\n{markdown}".rstrip() + "\n")
    write_text(paths[1], _PAGE.format(title=escape(title), body=body))
    return paths
