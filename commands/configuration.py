"""Make jsonargparse read configurations by ozet's rules: a later value wins as a whole.

This is the only file that uses private names of jsonargparse (4.53). `tests/commands/test_configuration.py` fails when
they change. The rules:

- A list or a mapping replaces the earlier one. jsonargparse merges the items of two lists of equal length, so that an
  item inherits what the earlier one at its place had.
- Another class begins with its own defaults; a subclass keeps the arguments. jsonargparse keeps all arguments of the
  same name.
- `+=` appends to a list. An item of a class that the list already has sets arguments of that item.
- A key given twice in one mapping is refused. YAML keeps the last without a word.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jsonargparse
import yaml
from jsonargparse import Namespace, _loaders_dumpers, _typehints
from jsonargparse._util import NestedArg, import_object  # import_object is used by sentences, too

_check_type = _typehints.ActionTypeHint._check_type
_adapt_class_type = _typehints.adapt_class_type
_discard = _typehints.discard_init_args_on_class_path_change


def install() -> None:
    """Put the rules in; once is enough, more does no harm."""
    _typehints.ActionTypeHint._check_type = _check_type_of_later_value  # type: ignore[method-assign]
    _typehints.adapt_class_type = _adapt_class_without_further_arguments
    _typehints.discard_init_args_on_class_path_change = _discard_arguments_of_another_class
    jsonargparse.set_loader("yaml", load, exceptions=(yaml.YAMLError,))


class _UniqueKeys(_loaders_dumpers.get_yaml_default_loader()):  # type: ignore[misc]
    """Refuse a key that stands twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load(stream: str) -> Any:
    """Read YAML as jsonargparse does; a key that stands twice in a mapping raises `yaml.MarkedYAMLError`."""
    _UniqueKeys(stream).get_single_data()
    return _loaders_dumpers.yaml_load(stream)


def _check_type_of_later_value(
    self: Any, value: Any, append: bool = False, cfg: Namespace | None = None, mode: str | None = None
) -> Any:
    if append:
        return _with_arguments_set(_check_type(self, value, append=True, cfg=cfg, mode=mode), _length(cfg, self.dest))
    return _check_type(self, value, cfg=None if _is_whole(value) else cfg, mode=mode)


def _is_whole(value: Any) -> bool:
    """Return whether a value is a list; mappings already replace each other."""
    if isinstance(value, NestedArg):
        return False
    if isinstance(value, str):
        try:
            value = load(value)
        except yaml.YAMLError:
            return False
    return isinstance(value, list)


def _length(config: Namespace | None, name: str) -> int:
    before = config.get(name) if config else None
    return len(before) if isinstance(before, list) else 0


def _with_arguments_set(items: Any, before: int) -> Any:
    """Return the list in which each appended item of a class that was there already sets arguments of the first.

    Items of dataclasses, such as the sources of data, are always added: a list has several of one class.
    """
    if not isinstance(items, list):
        return items
    kept = items[:before]
    for item in items[before:]:
        known = next((one for one in kept if _class_of(one) is not None and _class_of(one) == _class_of(item)), None)
        if known is None:
            kept.append(item)
        else:
            known.init_args = Namespace(**{**vars(known.get("init_args") or Namespace()), **_arguments(item)})
    return kept


def _class_of(item: Any) -> str | None:
    path = item.get("class_path") if isinstance(item, Namespace | Mapping) else None
    return None if path is None or dataclasses.is_dataclass(import_object(path)) else path


def _arguments(item: Any) -> dict[str, Any]:
    arguments = item.get("init_args") or {}
    return vars(arguments) if isinstance(arguments, Namespace) else dict(arguments)


def _adapt_class_without_further_arguments(value: Any, *args: Any, **kwargs: Any) -> Any:
    further = value.get("dict_kwargs") if isinstance(value, Namespace | Mapping) else None
    if further:
        raise ValueError("Option 'dict_kwargs' is not accepted")
    return _adapt_class_type(value, *args, **kwargs)


def _discard_arguments_of_another_class(parser_or_action: Any, previous: Any, value: Any) -> None:
    _discard(parser_or_action, previous, value)
    if not previous or not previous.get("init_args") or previous["class_path"] == value["class_path"]:
        return
    if not _is_subclass(value["class_path"], previous["class_path"]):
        for name in list(vars(previous["init_args"])):
            previous["init_args"].pop(name)


def _is_subclass(path: str, of: str) -> bool:
    one, other = import_object(path), import_object(of)
    return isinstance(one, type) and isinstance(other, type) and issubclass(one, other)
