"""The templates of reports and cards."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

_FOLDER = FileSystemLoader(Path(__file__).parent / "templates")


def html_template(name: str) -> Template:
    """A file of `templates/`; what is filled in is escaped."""
    return Environment(loader=_FOLDER, autoescape=True).get_template(name)


def markdown_template(name: str) -> Template:
    """A file of `templates/`; what is filled in is Markdown."""
    settings = {"autoescape": False, "trim_blocks": True, "keep_trailing_newline": True}
    return Environment(loader=_FOLDER, **settings).get_template(name)  # type: ignore[arg-type]
