"""Say in one sentence what argparse says of a command line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Sequence


def of_argparse(message: str, flags: Sequence[str] = ()) -> str:
    """Return one sentence for an error of argparse; the message itself where there is nothing to add.

    Args:
        message: What argparse says.
        flags: Of the parser, with dashes; the nearest is suggested for an unknown one.
    """
    for pattern, say in _RULES:
        if (found := re.search(pattern, message)) is not None:
            return say(found, flags)
    return message


def _unknown(found: re.Match[str], flags: Sequence[str]) -> str:
    name = found[1].split("=")[0]
    if not name.startswith("-"):
        return f"{name} is not understood; a setting is written --NAME=VALUE."
    near = difflib.get_close_matches(name, flags, 1)
    return f"There is no flag {name}; {f'did you mean {near[0]}?' if near else '--help lists all.'}"


def _no_file(found: re.Match[str], flags: Sequence[str]) -> str:
    path = os.path.relpath(found[1])
    return f"--config: there is no file {found[1] if path.startswith('..') else path}."


def _choice(found: re.Match[str], flags: Sequence[str]) -> str:
    name, given, legal = found[1], found[2], found[3].replace("'", "")
    what = name if name.startswith("-") else "The command"
    near = difflib.get_close_matches(given, legal.split(", "), 1)
    return f"{what} is {given!r}; {f'did you mean {near[0]}?' if near else f'give one of {legal}.'}"


def _type(found: re.Match[str], flags: Sequence[str]) -> str:
    kind = {"int": "a whole number", "float": "a number"}.get(found[2], f"of type {found[2]}")
    return f"{_flag(found[1])} is {found[3]!r}; it must be {kind}."


def _flag(argument: str) -> str:
    return argument.split("/")[-1]


_RULES: list[tuple[str, Callable[[re.Match[str], Sequence[str]], str]]] = [
    (r"unrecognized arguments: (\S+)", _unknown),
    (r"(?:File does not exist|Path is not a file): '([^']+)'", _no_file),
    (r"argument (\S+): invalid choice: '([^']*)' \(choose from (.*)\)", _choice),
    (r"argument (\S+): invalid (\w+) value: '([^']*)'", _type),
    (
        r"argument (\S+): expected (?:one|at least one) argument",
        lambda found, flags: f"{_flag(found[1])} has no value; write {_flag(found[1])}=VALUE.",
    ),
    (
        r"argument (\S+): not allowed with argument (\S+)",
        lambda found, flags: f"{found[1]} and {found[2]} exclude each other; leave one out.",
    ),
    (
        r"argument (\S+): ignored explicit argument '(.*)'",
        lambda found, flags: f"{_flag(found[1])} takes no value; leave out {found[2]!r}.",
    ),
    (
        r"following arguments are required: (.*)$",
        lambda found, flags: f"{found[1]} is missing; --help shows the whole command line.",
    ),
    (
        r"expected \"subcommand\" to be one of \{(.*?)\}",
        lambda found, flags: f"The command is missing; give one of {found[1].replace(',', ', ')}.",
    ),
]
