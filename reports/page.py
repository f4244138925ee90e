"""Writes a report twice: as one HTML page that needs nothing else, and as Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.atomic_write import write_text
from reports.section import Section
from reports.template import html_template

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


def write_page(title: str, sections: Sequence[Section], folder: Path, name: str = "report") -> tuple[Path, Path]:
    """Writes `NAME.html` and `NAME.md`.

    Args:
        title: Of the page.
        sections: In their order.
        folder: Where to; holds the pictures that the sections name. Of a PNG with an SVG beside it, the page shows the
            latter.
        name: Of the files.

    Returns:
        Paths of the page and of the Markdown.
    """
    bodies = [(one.title, markdown_to_html(one.markdown, folder) if one.html is None else one.html) for one in sections]
    page, text = folder / f"{name}.html", folder / f"{name}.md"
    write_text(page, html_template("page.html.j2").render(title=title, sections=bodies))
    parts = [f"# {title}", *(f"## {one.title}\n\n{one.markdown.strip()}" for one in sections)]
    write_text(text, "\n\n".join(parts) + "\n")
    return page, text


def markdown_to_html(text: str, folder: Path) -> str:
    """Markdown (CommonMark and tables) as HTML; HTML in it is escaped, pictures are embedded.

    Args:
        text: The Markdown.
        folder: What the paths of pictures are relative to.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        for child in token.children or []:
            if child.type == "image":
                _embed(child, folder)
    return parser.renderer.render(tokens, parser.options, {})


def _embed(image: Token, folder: Path) -> None:
    file = folder / str(image.attrs["src"])
    sharp = file.with_suffix(".svg")
    file = sharp if sharp.is_file() else file
    content = base64.b64encode(file.read_bytes()).decode()
    image.attrs["src"] = f"data:{_TYPES[file.suffix]};base64,{content}"
