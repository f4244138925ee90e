"""A part of a report."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


@dataclass(frozen=True)
class Section:
    """A part of a report, written twice.

    Attributes:
        title: Heading; also of the table of contents.
        markdown: Body in Markdown, without the heading. Pictures are named relative to the report's folder.
        html: Body in HTML, whose texts are escaped and which loads nothing; None is `markdown` turned into HTML, its
            pictures embedded.
    """

    title: str
    markdown: str
    html: str | None = None

    @property
    def pictures(self) -> list[str]:
        """Paths of its pictures, relative to the report's folder."""
        return _PICTURE.findall(self.markdown)
