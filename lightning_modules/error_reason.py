"""What an exception says, for a sentence of ours."""

from __future__ import annotations


def reason(error: BaseException) -> str:
    """Its first line, without its full stop, behind its kind unless that says nothing more."""
    line = str(error).partition("\n")[0].rstrip(".")
    if isinstance(error, OSError) or type(error) is ValueError:
        return line or type(error).__name__
    return f"{type(error).__name__}: {line}" if line else type(error).__name__
