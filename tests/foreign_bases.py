"""Folders that people bring as a base: whole ones of other kinds, and the tiny one with something wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from random_model import write_random_model
from safetensors.torch import load_file, save_file
from transformers import T5Config

from lightning_modules.initialization import write_random

WEIGHTS, SHARDS = "model.safetensors", "model.safetensors.index.json"
HEAD = "lm_head.weight"


def t5_config(tied: bool = True, **settings) -> T5Config:
    """T5 v1.0 (relu, tied head, scaled outputs), or v1.1 (gated, a head of its own), for the tiny tokenizer."""
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 8064}
    kind = "relu" if tied else "gated-gelu"
    return T5Config(
        **sizes | settings, feed_forward_proj=kind, tie_word_embeddings=tied, decoder_start_token_id=0, pad_token_id=0
    )


def write_t5(random_mt5: Path, folder: Path, tied: bool = True) -> Path:
    write_random_model(random_mt5, folder)
    write_random(t5_config(tied), str(folder))
    return folder


def set_json(folder: Path, file: str = "config.json", **values: object) -> None:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})


def drop(*parts: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        change_tensors(folder, lambda old: {n: t for n, t in old.items() if not any(part in n for part in parts)})

    return change


def prefix(text: str) -> Callable[[Path], None]:
    return lambda folder: change_tensors(folder, lambda old: {text + name: tensor for name, tensor in old.items()})


def add(name: str, *shape: int) -> Callable[[Path], None]:
    return lambda folder: change_tensors(folder, lambda old: old | {name: torch.zeros(shape)})


def configure(**values: object) -> Callable[[Path], None]:
    return lambda folder: set_json(folder, **values)


def write(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / file).write_bytes(content) and None


def remove(*files: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return change


def cut_weights(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def shard(folder: Path) -> list[Path]:
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    save_torch_state_dict(tensors, folder, max_shard_size="3MB")
    return sorted(folder.glob("model-*.safetensors"))
