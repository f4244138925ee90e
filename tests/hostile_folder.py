"""Folders that want to run code of their own; the code leaves a file behind."""

import json
import os
from pathlib import Path

import torch

MARKER = "it_ran"
_MODULE = """
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

Path({marker!r}).touch()


class Config(PreTrainedConfig):
    model_type = "hostile"


class Model(PreTrainedModel):
    config_class = Config


class Tokenizer(PreTrainedTokenizerFast):
    pass


def generate(model, *arguments, **options):
    pass
"""
_CLASSES = {"AutoConfig": "evil.Config", "AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]} | dict.fromkeys(
    ("AutoModel", "AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForSequenceClassification"), "evil.Model"
)


def ran(folder: Path) -> bool:
    return (folder / MARKER).exists()


def plant(folder: Path, name: str = "evil.py") -> Path:
    """Writes a module that leaves `MARKER` in the folder when it is imported; returns the folder."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(_MODULE.format(marker=str(folder / MARKER)))
    return folder


def set_keys(folder: Path, file: str, **settings: object) -> Path:
    """Sets keys of a JSON file in a folder, and returns the folder."""
    path = folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | settings))
    return folder


def hostile_config(folder: Path, model_type: str = "hostile") -> Path:
    """Its `config.json` names a class of its own for everything."""
    return set_keys(plant(folder), "config.json", model_type=model_type, auto_map=_CLASSES)


def hostile_tokenizer(folder: Path) -> Path:
    return set_keys(plant(folder), "tokenizer_config.json", auto_map=_CLASSES)


def hostile_part(folder: Path) -> Path:
    """An encoder-decoder whose decoder names a class of its own: transformers builds it without being told not to."""
    decoder = {"model_type": "t5", "auto_map": _CLASSES, "_name_or_path": str(folder)}
    parts = {"encoder": {"model_type": "bert"}, "decoder": decoder}
    return set_keys(plant(folder), "config.json", model_type="encoder-decoder", **parts)


def hostile_generation(folder: Path) -> Path:
    return plant(folder, "custom_generate/generate.py")


class Pickled:
    """Leaves the file behind when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mknod, (str(self.folder / MARKER),)


def hostile_weights(folder: Path, file: str) -> Path:
    torch.save({"weight": Pickled(folder)}, folder / file)
    return folder
