"""Every list and mapping that a configuration has, found in the signatures, with two values for each."""

import dataclasses
import importlib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import lightning as L
import yaml

MODULES = ("lightning_modules.seq2seq.Seq2SeqModule", "lightning_modules.span_corruption.SpanCorruptionModule")
DATA = ("datamodules.bilingual.BilingualDataModule", "datamodules.corpus.CorpusDataModule")
DEFAULTS = yaml.safe_load((Path(__file__).parents[2] / "configs/default.yaml").read_text(encoding="utf-8"))["trainer"]
WATCHERS = [one["class_path"] for name in ("logger", "callbacks") for one in DEFAULTS[name]]
# Values of types of which none can be made up.
KNOWN = {
    "trainer.logger": (
        [{"class_path": "callbacks.csv_logger.CSVLogger", "init_args": {"save_dir": "a", "name": "a"}}],
        [{"class_path": "callbacks.csv_logger.CSVLogger", "init_args": {"save_dir": "b"}}],
    ),
    "trainer.callbacks": (
        [{"class_path": "callbacks.nan_monitor.NanMonitor", "init_args": {"action": "skip"}}],
        [{"class_path": "callbacks.nan_monitor.NanMonitor"}],
    ),
    "trainer.plugins": (
        [{"class_path": "lightning.pytorch.plugins.TorchSyncBatchNorm"}] * 2,
        [{"class_path": "lightning.pytorch.plugins.AsyncCheckpointIO"}],
    ),
    "trainer.max_time": ({"hours": 1}, {"minutes": 2}),
    "trainer.val_check_interval": ({"hours": 1}, {"minutes": 2}),
}
_SIMPLE = {bool: (True, False), int: (3, 4), float: (0.25, 0.5), str: ("a", "b")}
_LISTS = (list, tuple, Sequence, Iterable)
_MAPPINGS = (dict, Mapping)


def collections(path: str, part: str) -> dict[str, tuple[Any, Any]]:
    """Two values, an earlier and a later one, of each list or mapping of a class and of its groups, by its place."""
    module, _, name = path.rpartition(".")
    owner = getattr(importlib.import_module(module), name)
    return {place: KNOWN.get(place) or values(hint) for place, hint in _collections(owner.__init__, part)}


def of_trainer() -> dict[str, tuple[Any, Any]]:
    """The same of the trainer's arguments."""
    return {place: KNOWN.get(place) or values(hint) for place, hint in _collections(L.Trainer.__init__, "trainer")}


def _collections(owner: Any, place: str) -> Iterator[tuple[str, Any]]:
    for name, hint in get_type_hints(owner).items():
        for one in _alternatives(hint):
            if (get_origin(one) or one) in (*_LISTS, *_MAPPINGS):
                yield f"{place}.{name}", one
            elif dataclasses.is_dataclass(one):
                yield from _collections(one, f"{place}.{name}")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def values(hint: Any) -> tuple[Any, Any]:
    """Two values of a type, as YAML has them; the later one leaves out all that has a default."""
    hint = next(one for one in _alternatives(hint) if one is not type(None))
    kind, inner = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if kind is Literal:
        return inner[0], inner[-1]
    if kind in _LISTS:
        return tuple([one, one] for one in values(inner[0]))
    if kind in _MAPPINGS:
        earlier, later = values(inner[1])
        return {"tr": earlier}, {"en": later}
    if dataclasses.is_dataclass(hint):
        hints = get_type_hints(hint)
        required = [one.name for one in dataclasses.fields(hint) if _is_required(one)]
        return (
            {name: values(one)[0] for name, one in hints.items()},
            {name: values(hints[name])[1] for name in required},
        )
    raise AssertionError(f"Give two values of {hint} in tests/commands/settings.py, KNOWN.")


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
