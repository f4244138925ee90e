"""The file of a checkpoint: nothing damaged is used, nothing is executed, and no failure costs the previous one."""

import errno
import os
import pickle
import random
import resource
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_modules.checkpoint_file import (
    FORMAT,
    FORMAT_KEY,
    DamagedCheckpoint,
    OzetCheckpointIO,
    read_contents,
    require_whole,
)
from lightning_modules.checkpointing import BASE_KEY

IDENTITY = {"name": "base", "revision": None, "fingerprint": "aa", "tokenizer": "bb", "vocabulary_rows": 10}
SAVED = {
    "global_step": 7,
    "state_dict": {"w": torch.arange(3000.0), "v": torch.arange(40).to(torch.bfloat16)},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3000)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
    "callbacks": {"RunRecord": {"config": "seed_everything: 7"}},
}


@pytest.fixture
def one_mebibyte_a_file() -> Iterator[None]:
    """The kernel refuses to let any file grow beyond 1 MiB (Python ignores the signal that goes with it)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


# -- damage -----------------------------------------------------------------------------------------------------------


def written_by_torch(path: Path) -> None:
    """As an older version of this program did."""
    torch.save(SAVED, path)


def written_here(path: Path) -> None:
    OzetCheckpointIO().save_checkpoint(SAVED, path)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def outcome(path: Path) -> str:
    try:
        loaded = OzetCheckpointIO().load_checkpoint(path)
    except ValueError:
        return "refused"
    return "the same" if same({key: loaded.get(key) for key in SAVED}, SAVED) else "another"


@pytest.mark.parametrize("write", [written_here, written_by_torch])
def test_no_flipped_bit_is_used(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path, chance = tmp_path / "a.ckpt", random.Random(0)
    write(path)
    whole = path.read_bytes()
    # Most at the end: there lie the directory of the archive and the checksum, the rest is numbers.
    places = [chance.randrange(len(whole)) for _ in range(60)] + [len(whole) - 1 - n for n in range(0, 1200, 9)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        assert outcome(path) != "another", place


@pytest.mark.parametrize("write", [written_here, written_by_torch])
def test_no_truncated_file_is_used(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path, chance = tmp_path / "a.ckpt", random.Random(0)
    write(path)
    whole = path.read_bytes()
    for length in [chance.randrange(len(whole)) for _ in range(40)] + [len(whole) - n for n in range(1, 11)]:
        path.write_bytes(whole[:length])
        assert outcome(path) != "another", length
    assert outcome(path) in ("refused", "the same")


def test_a_flipped_bit_in_the_weights_is_found_and_both_checksums_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    written_here(path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.tensor([1.0, 2.0, 3.0]).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    for check in (require_whole, OzetCheckpointIO().load_checkpoint):
        with pytest.raises(DamagedCheckpoint, match=r"a\.ckpt' .* is damaged .*checksum is \w+ instead"):
            check(path)
    assert read_contents(path)["global_step"] == 7  # the rest of a damaged file still tells its step


def test_contents_that_are_damaged_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    written_here(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"seed_everything: 7") + len("seed_everything: ")] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match="damaged"):
        read_contents(path)


def test_other_programs_of_pytorch_read_the_file(tmp_path: Path) -> None:
    written_here(tmp_path / "a.ckpt")
    for mmap in (False, True):
        loaded = torch.load(tmp_path / "a.ckpt", weights_only=True, mmap=mmap)
        assert same({key: loaded[key] for key in SAVED}, SAVED)
        assert loaded[FORMAT_KEY] == FORMAT


@pytest.mark.parametrize("read", [read_contents, OzetCheckpointIO().load_checkpoint])
def test_a_newer_format_is_refused_with_both_versions(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    torch.save(SAVED | {FORMAT_KEY: FORMAT + 1}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=rf"a\.ckpt' has checkpoint format {FORMAT + 1}, and .* up to {FORMAT}\."):
        read(tmp_path / "a.ckpt")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    spoilt = torch.ones(4, 5, dtype=dtype)
    spoilt[2, 3] = value
    OzetCheckpointIO().save_checkpoint({"state_dict": {"a": torch.ones(2), "b.lora_B": spoilt}}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"b\.lora_B of the checkpoint '.*a\.ckpt' holds 1 of 20 values that are NaN"):
        OzetCheckpointIO().load_checkpoint(tmp_path / "a.ckpt")


def test_weights_of_any_other_kind_are_loaded(tmp_path: Path) -> None:
    weights = {"empty": torch.ones(0), "whole": torch.ones(2, dtype=torch.int64), "great": torch.full((9,), 3e38)}
    OzetCheckpointIO().save_checkpoint({"state_dict": weights}, tmp_path / "a.ckpt")
    assert OzetCheckpointIO().load_checkpoint(tmp_path / "a.ckpt")["state_dict"].keys() == weights.keys()


# -- writing ----------------------------------------------------------------------------------------------------------


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


def test_a_full_disk_at_the_first_save_promises_no_earlier_checkpoint(
    tmp_path: Path, one_mebibyte_a_file: None
) -> None:
    with pytest.raises(OSError, match=r"4 MiB .*no earlier checkpoint; free some space and start it again"):
        OzetCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2**20)}}, tmp_path / "new" / "last.ckpt")
    assert not list((tmp_path / "new").iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").touch()  # a file: nothing can be made under it, not even by root
    with pytest.raises(OSError, match=r"Cannot save a checkpoint as .*last\.ckpt \(.*\)\. Make its folder"):
        OzetCheckpointIO().save_checkpoint({"state_dict": {}}, tmp_path / "checkpoints" / "last.ckpt")


def test_saving_holds_no_second_copy_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    OzetCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2**22)}}, tmp_path / "a.ckpt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20 < (tmp_path / "a.ckpt").stat().st_size
