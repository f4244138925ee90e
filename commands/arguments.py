"""The parser of all commands but `train.py`: flags only by their whole names, errors in one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from commands.sentences import of_argparse


class ArgumentParser(argparse.ArgumentParser):
    """argparse's parser without abbreviations, which answers an error with one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one sentence that names the nearest flag."""
        print(f"error: {of_argparse(message, list(_flags(self)))}", file=sys.stderr)
        self.exit(2)


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # argparse has no public way to them
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _flags(one)
