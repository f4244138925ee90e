"""The templates of reports, in HTML and in Markdown."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template


def html_template(name: str) -> Template:
    """A file of `templates/`; what is filled in is escaped."""
    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True).get_template(name)


def markdown_template(name: str) -> Template:
    """The same for Markdown: what is filled in stands as it is."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=False)
    return environment.get_template(name)
