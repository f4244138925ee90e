"""Bases of the hub are checked where they were downloaded, as folders are."""

import shutil
from pathlib import Path

import pytest
import torch
from foreign_bases import HEAD, WEIGHTS, drop
from huggingface_hub import constants
from random_model import write_random_model

from lightning_modules.adaptation import Quantization, load_base
from lightning_modules.base_check import check_base
from lightning_modules.checkpointing import base_identity
from lightning_modules.weight_files import lacks_weights, model_folder, stored_weights, tensor_shapes, weight_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cached(random_mt5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where `owner/name` lies in a cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return write_random_model(random_mt5, repository / "snapshots" / COMMIT)


def test_downloaded_base_is_loaded_with_its_commit(cached):
    check_base("owner/name")
    assert model_folder("owner/name", None) == cached
    model = load_base("owner/name", None, "lora", Quantization(), torch.float32, torch.device("cpu"))
    assert base_identity("owner/name", None, model, "")["commit"] == COMMIT
    assert base_identity(str(cached), None, model, "")["commit"] is None


def test_downloaded_base_that_is_not_whole_is_refused(cached):
    drop(HEAD)(cached)
    with pytest.raises(ValueError, match=r"model\.base 'owner/name' lacks lm_head.weight"):
        check_base("owner/name")
    (cached / WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"Cannot load model\.base 'owner/name': .* has neither model.safetensors"):
        check_base("owner/name")


def test_base_that_is_nowhere_is_named_with_what_is_needed(cached):
    with pytest.raises(ValueError, match=r"Cannot download model\.base 'owner/other' .*a hub id, such as google/mt5"):
        check_base("owner/other")


@pytest.mark.parametrize(
    ("file", "random"),
    [("README.md", True), ("spiece.model", True), ("tf_model.h5", False), ("flax_model.msgpack", False)],
)
def test_a_folder_with_weights_of_any_kind_is_not_initialised_at_random(random_mt5, tmp_path, file, random):
    shutil.copy(random_mt5 / "config.json", tmp_path)
    (tmp_path / file).write_bytes(b"")
    assert lacks_weights(str(tmp_path)) is random


def test_shapes_are_those_of_the_tensors(cached):
    files = weight_files(cached)
    assert tensor_shapes(files) == {name: tuple(tensor.shape) for name, tensor in stored_weights(files)}
