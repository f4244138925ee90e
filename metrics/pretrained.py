"""Loads what Hugging Face folders hold, and never runs code that lies in them: the only place that may load them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import dynamic_module_utils
from transformers.utils.hub import cached_file

# Where transformers is not told, as for the parts of an encoder-decoder, it asks on standard input whether to run a
# folder's code; with a time limit of 0 it refuses.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0

ADAPTER = "adapter_config.json"
_SETTINGS = ("config.json", "tokenizer_config.json", ADAPTER)
_PROGRAM = "custom_generate/generate.py"
# Both name modules to import: classes that lie in the folder, and a replacement of Megatron.
_CODE_KEYS = ("auto_map", "megatron_config")


class OwnCodeError(ValueError):
    """A folder, or a configuration, that wants to run code of its own.

    Args:
        who: Its name.
        what: Where the code is or is named.
    """

    def __init__(self, who: str, what: str) -> None:
        super().__init__(
            f"{who} wants to run its own code ({what}); ozet never runs it: name a model that needs no code of its own."
        )


def load_pretrained(kind: Any, name: str | Path, **options: Any) -> Any:
    """Calls `kind.from_pretrained`.

    Args:
        kind: A class of transformers, or one that loads as they do.
        name: Folder or hub id.
        **options: Of `from_pretrained`.

    Raises:
        OwnCodeError: If the folder wants to run code of its own.
        ValueError: If a pickle among its weights holds anything but tensors, or is damaged.
    """
    refuse_own_code(name, **{key: options[key] for key in ("revision", "local_files_only") if key in options})
    with _tensors_only(name):
        return kind.from_pretrained(name, trust_remote_code=False, **options)


def load_adapter(kind: Any, model: Any, folder: str | Path) -> Any:
    """Puts the adapters in a folder onto their base, by a class of peft; else as `load_pretrained`."""
    refuse_own_code(folder)
    with _tensors_only(folder):
        return kind.from_pretrained(model, str(folder))


def build_model(kind: Any, config: Any, **options: Any) -> Any:
    """Calls `kind.from_config`.

    Args:
        kind: An automatic class of transformers.
        config: The model's configuration.
        **options: Of `from_config`.

    Raises:
        OwnCodeError: If the configuration names code that is not transformers' own.
    """
    _refuse("The configuration", "config.json", config.to_dict())
    return kind.from_config(config, trust_remote_code=False, **options)


def refuse_own_code(name: str | Path, **where: Any) -> None:
    """Refuses a folder that wants to run code of its own.

    Args:
        name: Folder or hub id.
        **where: `revision` and `local_files_only`, as for `from_pretrained`.

    Raises:
        OwnCodeError: If it does; also where transformers could do without that code, since its author does not.
    """
    for file in _SETTINGS:
        _refuse(repr(str(name)), file, read_settings(name, file, **where))
    if _find(name, _PROGRAM, where) is not None:
        raise OwnCodeError(repr(str(name)), _PROGRAM)


def read_settings(name: str | Path, file: str, **where: Any) -> Any:
    """Returns what a JSON file of a folder or hub id holds; None if there is no such file or it is damaged."""
    path = _find(name, file, where)
    try:
        return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # the loading that follows says what is damaged
        return None


def base_of(name: str, revision: str | None = None) -> tuple[str, str | None]:
    """Returns the base that an adapter belongs to, and its revision; of anything else name and revision themselves.

    Args:
        name: Folder or hub id.
        revision: Branch, tag or commit on the hub.

    Raises:
        ValueError: If the adapter does not name its base.
    """
    if _find(name, ADAPTER, {"revision": revision}) is None:
        return name, revision
    settings = read_settings(name, ADAPTER, revision=revision)
    base = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    if not isinstance(base, str) or not base:
        raise ValueError(
            f"{name!r} is an adapter that does not name its base; put the folder or hub id of the base into its "
            f"{ADAPTER} as base_model_name_or_path."
        )
    return base, None if Path(base).is_dir() else settings.get("revision")


@contextmanager
def _tensors_only(name: str | Path) -> Iterator[None]:
    try:
        yield
    except (pickle.UnpicklingError, EOFError) as error:  # whose text advises to unpickle anything
        raise ValueError(
            f"{str(name)!r} holds weights in a .bin file that is damaged or holds more than tensors; save them as "
            "safetensors."
        ) from error


def _find(name: str | Path, file: str, where: dict[str, Any]) -> str | None:
    try:
        return cached_file(str(name), file, _raise_exceptions_for_missing_entries=False, **where)
    except (OSError, ValueError):  # the loading that follows says what is missing
        return None


def _refuse(who: str, file: str, settings: Any) -> None:
    found = _named_code(settings)
    if found is not None:
        raise OwnCodeError(who, f"{found} in {file}")


def _named_code(settings: Any) -> str | None:
    """The first key, at any depth, whose value names code."""
    if isinstance(settings, list):
        return next(filter(None, map(_named_code, settings)), None)
    if not isinstance(settings, dict):
        return None
    for key, value in settings.items():
        from_hub = key == "attn_implementation" and "/" in str(value)  # a kernel, `owner/name`
        if (key in _CODE_KEYS and value) or from_hub:
            return key
    return _named_code(list(settings.values()))
