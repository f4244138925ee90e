"""Say in one sentence what jsonargparse and argparse say in a page: the setting, its value, what it must be."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Iterable
from typing import Any, get_type_hints

from commands.argparse_errors import of_argparse
from commands.configuration import import_object

_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_GIVEN = re.compile(r"(?:Got|Given) value: (.*)$")
_EXPECTED = re.compile(r"Expected an? ((?:<class '[^']+'>|typing\.\S*\[.*?\]|\w[\w.]*\[.*\]))(?:\.|$|\s)")
_UNKNOWN = (
    re.compile(r"Option '([^']+)' is not accepted"),
    re.compile(r"Group '(?P<group>[^']+)' does not accept option '(?P<option>[^']+)'"),
    re.compile(r"Subcommand '\w+' does not accept option '([\w.]+)'"),
    re.compile(r"unrecognized arguments: --([\w.]+)"),
    re.compile(r"Key [\"']([\w.]+)[\"'] is not expected"),
)
_REQUIRED = re.compile(r"the following arguments are required: (.+)$")
_IMPORT = re.compile(
    r"(?:Expected a dot import path string: (?P<path>.+)|module '(?P<module>[^']+)' has no attribute "
    r"'(?P<name>[^']+)'|No module named '(?P<absent>[^']+)'|Import path (?P<other>\S+) does not)"
)
_NOT_FITTING = re.compile(
    r"(?:Import path (?:\S+ )?does not correspond to a subclass of|Expected '(?P<path>[^']+)' to be a subclass of) "
    r"(?:<class ')?(?P<base>\w+)"
)
_UNREADABLE = re.compile(r"Unable to load config ['\"](.*?)['\"]")
_CALLED = re.compile(r"Got value: Namespace\(class_path='([^']+)'")
_TYPES = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "NoneType": "null",
    "list": "a list", "dict": "a mapping", "collections.abc.Iterable": "a list",
}  # fmt: skip


def sentence(message: str, flags: Iterable[str] = ()) -> str:
    """Return one sentence for an error of a parser.

    Args:
        message: What jsonargparse or argparse raised.
        flags: Names that the parser knows, without dashes; the nearest is suggested for a misspelt one.
    """
    lines = [line.strip().removeprefix("- ") for line in message.splitlines() if line.strip()]
    names: list[str] = []
    owner: str | None = None
    for number, line in enumerate(lines):
        if (key := _KEY.search(line)) and key[1] not in names:
            names.append(key[1])
        owner = found[1] if (found := _CLASS.search(line) or _CALLED.search(line)) else owner
        said = _unknown(line, names, owner, flags) or _missing(line, names)
        said = said or _not_fitting(line, lines[number:], names) or _no_class(line, names, owner)
        if said is None and _EXPECTED.search(line) and "NoneType" not in line:
            said = _wrong_value(lines[number:], names)
        if said:
            return said
    if names and lines and (unreadable := _UNREADABLE.search(message)):
        return f"{'.'.join(names)} is {unreadable[1]!r}; give its settings, such as --{'.'.join(names)}.NAME=VALUE."
    if names and "\n" in message:
        value = next((given[1] for one in reversed(lines) if (given := _GIVEN.search(one))), "not legal")
        return f"{'.'.join(names)} is {value}, which does not fit; --help shows what it takes."
    return of_argparse(" ".join(lines), [f"--{flag}" for flag in flags])


def settings_of(path: str, groups: Iterable[str]) -> list[str]:
    """Return the names of the arguments of a class, or of a group among them; none where they cannot be told."""
    try:
        owner: Any = import_object(path)
        for group in groups:
            owner = get_type_hints(owner if dataclasses.is_dataclass(owner) else owner.__init__)[group]
        return [name for name in inspect.signature(owner).parameters if name not in ("args", "kwargs")]
    except (ImportError, AttributeError, KeyError, NameError, TypeError, ValueError):
        return []


def _unknown(line: str, names: list[str], owner: str | None, flags: Iterable[str]) -> str | None:
    found = next((found for pattern in _UNKNOWN if (found := pattern.search(line))), None)
    if found is None:
        return None
    path = ".".join(part for part in found.groups() if part).replace(".init_args.", ".")
    *groups, wanted = path.split(".")
    if owner:
        prefix = "".join(f"{name}." for name in [*names, *groups])
        near = [prefix + name for name in difflib.get_close_matches(wanted, settings_of(owner, groups), 1)]
    else:
        prefix = "".join(f"{name}." for name in groups)
        same = [flag for flag in flags if flag.rpartition(".")[2] == wanted]
        near = difflib.get_close_matches(prefix + wanted, list(flags), 1) or same
    return f"There is no setting {prefix}{wanted}{f'; did you mean {near[0]}?' if near else '.'}"


def _missing(line: str, names: list[str]) -> str | None:
    if (found := _REQUIRED.search(line)) is None:
        return None
    here = ".".join([*names, found[1].split(",")[0]])
    remedy = f"give it as --{here}=VALUE, or in a file with --config FILE" if len(names) == 1 else "it has no default"
    return f"{here} is missing; {remedy}."


def _not_fitting(line: str, lines: list[str], names: list[str]) -> str | None:
    found = _NOT_FITTING.search(line)
    if found is None:
        return None
    given = found["path"] or next((given[1] for one in lines if (given := _GIVEN.search(one))), None)
    return given and f"{'.'.join(names)} is {given}, which is no subclass of {found['base']}; give the path of one."


def _no_class(line: str, names: list[str], owner: str | None) -> str | None:
    if (found := _IMPORT.search(line)) is None:
        return None
    module = found["module"] and f"{found['module']}.{found['name']}"
    path = found["path"] or found["other"] or (module if module == owner else owner or module) or found["absent"]
    called = found["module"] and "callable class" in line
    return (
        f"{'.'.join(names)} is {module if called else path!s}, which is no class that fits; give the path of one, "
        "such as package.module.Class."
    )


def _wrong_value(lines: list[str], names: list[str]) -> str | None:
    wanted: list[str] = []
    for line in lines:
        if (expected := _EXPECTED.search(line)) is not None:
            wanted += [text for text in [_in_words(expected[1])] if text and text not in wanted]
        if (given := _GIVEN.search(line)) is not None:
            value = given[1].split(". Got value")[0]
            if names[-1:] == ["trainer.precision"]:
                wanted = ["bf16-mixed", "32-true"]  # of many, only these work here
            return f"{'.'.join(names)} is {value!r}; it must be {' or '.join(wanted)}." if wanted else None
    return None


def _in_words(hint: str) -> str | None:
    if hint.startswith("typing.Literal"):
        choices = [part.strip(" '\"") for part in hint[len("typing.Literal[") : -1].split(",")]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    name = hint.removeprefix("<class '").removesuffix("'>")
    return _TYPES.get(name.split("[")[0])
