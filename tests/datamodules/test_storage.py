import errno
import multiprocessing
import os
from unittest import mock

import pytest

from datamodules.storage import explain_storage_failure


def failure(code, *name):
    return OSError(code, os.strerror(code), *name)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (failure(errno.ENOSPC, "runs/a"), "No space left on device: 'runs/a'. Free space, or choose another place: "),
        (failure(errno.ENOSPC), "No space left on device. Free space, or choose another place: "),
        (failure(errno.EROFS, "/data/runs"), "Read-only file system: '/data/runs'. Change its permissions, or choose "),
        (failure(errno.EACCES, "/root"), "Permission denied: '/root'. Change its permissions, or choose another place"),
        (failure(errno.ENOTDIR, "file/runs"), "Not a directory: 'file/runs'. Change its permissions, or choose "),
    ],
    ids=str,
)
def test_full_and_unwritable_places_are_named_with_a_remedy(error, sentence):
    assert explain_storage_failure(error).startswith(sentence)


def test_cause_behind_other_errors_is_found():
    try:
        try:
            raise failure(errno.ENOSPC, "/cache")
        except OSError:
            raise RuntimeError("Please call `iter(combined_loader)` first.")  # noqa: B904 - as Lightning's teardown does
    except RuntimeError as error:
        assert "'/cache'" in explain_storage_failure(error)


@pytest.mark.parametrize(
    "message",
    [
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are out of",
        "unable to allocate shared memory(shm) for file </torch_28715_4095299119_1>: No space left on device (28)",
        "unable to write to file </torch_28715_4095299119_1>: No space left on device (28)",
    ],
)
def test_full_shared_memory_is_told_from_what_torch_says(message):
    assert explain_storage_failure(RuntimeError(message)).startswith("The shared memory of this machine (/dev/shm)")


def test_lock_that_finds_no_place_is_one_of_shared_memory(monkeypatch):
    monkeypatch.setattr("_multiprocessing.SemLock", mock.Mock(side_effect=failure(errno.ENOSPC)))
    with pytest.raises(OSError) as caught:
        multiprocessing.Lock()
    assert explain_storage_failure(caught.value).startswith("The shared memory")


@pytest.mark.parametrize("error", [ValueError("x"), FileNotFoundError(errno.ENOENT, "No such file", "a"), OSError("x")])
def test_other_errors_are_left_to_others(error):
    assert explain_storage_failure(error) is None
