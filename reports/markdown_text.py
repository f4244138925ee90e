"""Texts of others inside Markdown."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#~&])")
# What would begin a list at a line's beginning.
_LIST = re.compile(r"^(\d*)([-+=.)])")


def plain(text: str) -> str:
    """A text in one line that Markdown shows as it is; in a table, `card_tables.table` escapes what else is needed."""
    return _LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", " ".join(text.split())))
