import errno
import os
import pickle
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.adaptation import Lora
from lightning_modules.checkpointing import (
    BASE_KEY,
    OzetCheckpointIO,
    base_fingerprint,
    load_trainable_state,
    require_same_base,
    trainable_state,
)

Build = Callable[..., Any]
IDENTITY = {"name": "base", "revision": None, "fingerprint": "aa", "tokenizer": "bb", "vocabulary_rows": 10}


@pytest.fixture
def one_mebibyte_a_file() -> Iterator[None]:
    """The kernel refuses to let any file grow beyond 1 MiB (Python ignores the signal that goes with it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("adaptation", ["full", "lora", "dora", "qlora"])
def test_trained_parameters_come_back_bit_for_bit(adapted: Build, tmp_path: Path, adaptation: str) -> None:
    source, target = adapted(adaptation), adapted(adaptation)
    with torch.no_grad():
        for parameter in source.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    saved = trainable_state(source)
    assert set(saved) == {name for name, parameter in source.named_parameters() if parameter.requires_grad}
    torch.save(saved, tmp_path / "state")
    load_trainable_state(target, torch.load(tmp_path / "state", weights_only=True))
    restored = dict(target.named_parameters())
    assert all(torch.equal(restored[name], saved[name]) for name in saved)


def test_a_missing_parameter_is_refused(adapted: Build) -> None:
    state = trainable_state(adapted("lora"))
    name = sorted(state)[0]
    del state[name]
    with pytest.raises(ValueError, match=rf"it lacks 1 of 72 trained parameters, such as {name}\. Use the adaptation"):
        load_trainable_state(adapted("lora"), state)


def test_a_surplus_parameter_is_refused(adapted: Build) -> None:
    state = trainable_state(adapted("lora")) | {"another.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"the model has no place for 1 of .*another\.weight"):
        load_trainable_state(adapted("lora"), state)


def test_a_parameter_of_another_shape_is_refused_and_nothing_is_loaded(adapted: Build) -> None:
    model = adapted("lora", Lora(rank=2))
    before = {name: tensor.clone() for name, tensor in trainable_state(model).items()}
    with pytest.raises(ValueError, match=r"has other shapes: 72 of 72 .*\(4, \d+\) instead of \(2, \d+\)"):
        load_trainable_state(model, trainable_state(adapted("lora", Lora(rank=4))))
    assert all(torch.equal(before[name], tensor) for name, tensor in trainable_state(model).items())


def test_a_base_has_one_fingerprint_in_every_adaptation(loaded: Build) -> None:
    dtypes = (torch.float32, torch.bfloat16)
    prints = {base_fingerprint(loaded(kind, dtype)) for kind in ("full", "lora", "qlora") for dtype in dtypes}
    assert len(prints) == 1
    assert len(prints.pop()) == 16


@pytest.mark.parametrize(
    "name",
    ["shared.weight", "lm_head.weight", "encoder.final_layer_norm.weight", "decoder.block.1.layer.2.layer_norm.weight"],
)
def test_another_embedding_head_or_norm_has_another_fingerprint(loaded: Build, name: str) -> None:
    model = loaded()
    before = base_fingerprint(model)
    with torch.no_grad():
        model.get_parameter(name).view(-1)[0] += 0.5
    assert base_fingerprint(model) != before


@pytest.mark.parametrize(
    ("key", "what"),
    [("fingerprint", "base model"), ("tokenizer", "tokenizer"), ("vocabulary_rows", "vocabulary")],
)
def test_another_base_is_refused_naming_both_sides(key: str, what: str) -> None:
    saved = IDENTITY | {"name": "google/mt5-small", "revision": "v2", key: "other"}
    with pytest.raises(ValueError) as caught:
        require_same_base(saved, IDENTITY)
    for part in (
        f"another {what}",
        "'google/mt5-small' (revision v2",
        f"{key} other",
        "'base' (revision main",
        str(IDENTITY[key]),
    ):
        assert part in str(caught.value)


def test_the_same_base_under_another_name_is_accepted_and_a_file_without_one_refused() -> None:
    assert require_same_base(IDENTITY | {"name": "moved/folder"}, IDENTITY) is None
    with pytest.raises(ValueError, match="no checkpoint of ozet"):
        require_same_base(None, IDENTITY)


class Exploit:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "damaged or of another program"),
        (lambda path: path.write_bytes(b""), "damaged or of another program"),
        (lambda path: path.write_bytes(pickle.dumps(Exploit())), "damaged or of another program"),
        (lambda path: torch.save({"state_dict": {}, "x": Exploit()}, path), "damaged or of another program"),
        (lambda path: torch.save(torch.ones(3), path), "no training checkpoint"),
        (lambda path: torch.save({"weights": torch.ones(3)}, path), "no training checkpoint"),
        (lambda path: path.mkdir(), "No checkpoint file"),
        (lambda path: None, "No checkpoint file"),
    ],
)
def test_a_foreign_file_is_refused_and_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "foreign.ckpt")
    with pytest.raises(ValueError, match=rf"foreign\.ckpt.*{message}|{message}.*foreign\.ckpt"):
        OzetCheckpointIO().load_checkpoint(tmp_path / "foreign.ckpt")
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = {"state_dict": {"w": torch.randn(3)}, BASE_KEY: IDENTITY}
    OzetCheckpointIO().save_checkpoint(saved, tmp_path / "new" / "folder" / "a.ckpt")
    restored = OzetCheckpointIO().load_checkpoint(str(tmp_path / "new" / "folder" / "a.ckpt"))
    assert restored[BASE_KEY] == IDENTITY
    assert torch.equal(restored["state_dict"]["w"], saved["state_dict"]["w"])


def test_a_full_disk_leaves_the_previous_checkpoint_and_says_what_to_do(
    tmp_path: Path, one_mebibyte_a_file: None
) -> None:
    path = tmp_path / "last.ckpt"
    OzetCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(5)}}, path)
    before = path.read_bytes()
    message = r"a checkpoint of 4 MiB as .*last\.ckpt.*untouched.*`--ckpt_path last`"
    with pytest.raises(OSError, match=message) as caught:
        OzetCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2**20)}}, path)
    assert caught.value.errno == errno.EFBIG
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert path.read_bytes() == before
    assert torch.equal(OzetCheckpointIO().load_checkpoint(path)["state_dict"]["w"], torch.ones(5))


def test_saving_needs_no_other_file_system_than_the_checkpoints_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file renamed from TMPDIR would be copied over the previous checkpoint, in parts, if that is another disk.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    OzetCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "last.ckpt")
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
