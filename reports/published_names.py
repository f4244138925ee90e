"""Names as a person writes them, for cards that leave this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import langcodes

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_FILES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".gz")


def language_name(code: str) -> str:
    """Return the English name of a BCP 47 tag: "Italian" for `it`, "Serbian (Latin)" for `sr-Latn`."""
    return langcodes.Language.get(code).display_name()


def language_names(codes: Iterable[str]) -> str:
    """Return the names of languages as a part of a sentence: "Turkish, English and Italian"."""
    *others, last = [language_name(code) for code in codes]
    return f"{', '.join(others)} and {last}" if others else last


def is_hub_id(name: str) -> bool:
    """Whether a name is that of a repository, rather than of something on this machine."""
    return bool(_HUB_ID.fullmatch(name)) and not Path(name).exists() and Path(name).suffix not in _FILES


def published_path(path: str) -> str:
    """Return a repository's id or an address as it is, and of a local path the last part, without its folders."""
    return path if is_hub_id(path) or "://" in path else Path(path).name
