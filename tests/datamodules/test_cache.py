"""A cached folder is whole or made anew, whatever happened to it."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from datamodules import cache
from datamodules.cache import CONTENTS, cached_folder, damage

FORK = multiprocessing.get_context("fork")


def make(folder: Path) -> None:
    (folder / "a.bin").write_bytes(b"a" * 100)
    (folder / "deep").mkdir()
    (folder / "deep" / "b.bin").write_bytes(b"b" * 100)


def cut(folder):
    os.truncate(folder / "a.bin", 50)


def zero(folder):
    (folder / "a.bin").write_bytes(bytes(100))


def flip_one_bit(folder):
    (folder / "a.bin").write_bytes(b"a" * 50 + b"c" + b"a" * 49)


def remove_one(folder):
    (folder / "deep" / "b.bin").unlink()


def remove_contents(folder):
    (folder / CONTENTS).unlink()


def empty(folder):
    remove_one(folder)
    for path in (folder / "a.bin", folder / CONTENTS):
        path.unlink()


def become_a_file(folder):
    empty(folder)
    (folder / "deep").rmdir()
    folder.rmdir()
    folder.write_text("foreign")


def become_a_broken_link(folder):
    become_a_file(folder)
    folder.unlink()
    folder.symlink_to(folder.with_name("nowhere"))


def garble(text):
    def write(folder):
        (folder / CONTENTS).write_bytes(text)

    return write


GARBAGE = [garble(text) for text in (b"", b"{", b"[]", b"{}", b"7", b'{"a.bin": 1}', b'["a.bin"]', b"\xff", b"null")]


@pytest.mark.parametrize(
    "harm",
    [cut, zero, flip_one_bit, remove_one, remove_contents, empty, become_a_file, become_a_broken_link, *GARBAGE],
)
def test_damaged_folder_is_made_anew_with_one_line_that_says_so(tmp_path, caplog, harm):
    folder = cached_folder(tmp_path / "cache" / "name", make)
    harm(folder)
    assert damage(folder)
    assert cached_folder(folder, make) == folder
    assert damage(folder) == ""
    assert (folder / "a.bin").read_bytes() == b"a" * 100
    (warning,) = caplog.messages
    assert "is damaged" in warning
    assert "made anew" in warning
    assert [path.name for path in folder.parent.iterdir()] == ["name"]


def test_whole_folder_is_opened_in_silence(tmp_path, caplog):
    folder = cached_folder(tmp_path / "name", make)
    (folder / "foreign.txt").write_text("of someone else")
    cached_folder(folder, lambda _: pytest.fail("made again"))
    assert not caplog.messages


def test_folder_that_cannot_be_made_leaves_nothing(tmp_path):
    def fail(folder):
        make(folder)
        raise ValueError("unreadable source")

    with pytest.raises(ValueError, match="unreadable source"):
        cached_folder(tmp_path / "cache" / "name", fail)
    assert list((tmp_path / "cache").iterdir()) == []


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def killed(folder: Path, moment: str) -> None:
    """In a process of its own."""
    if moment == "while it is written":
        cached_folder(folder, lambda partial: (make(partial), die()))
    elif moment == "before its contents are listed":
        cache.file_checksum = die
    elif moment == "before the old one is removed":
        cache._remove = die
    else:
        Path.rename = die
    cached_folder(folder, make)


@pytest.mark.parametrize(
    "moment",
    ["while it is written", "before its contents are listed", "before the old one is removed", "before it is renamed"],
)
@pytest.mark.parametrize("other", [False, True], ids=["the same next", "another next"])
def test_killed_maker_leaves_nothing_that_is_taken_as_whole_or_stays(tmp_path, moment, other):
    folder = tmp_path / "cache" / "name"
    maker = FORK.Process(target=killed, args=(folder, moment))
    maker.start()
    maker.join()
    assert maker.exitcode == -signal.SIGKILL
    assert not folder.exists()
    assert list(folder.parent.glob("*.partial-*"))
    following = folder.with_name("other") if other else folder
    assert damage(cached_folder(following, make)) == ""
    assert list(folder.parent.iterdir()) == [following]


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("damaged", [False, True], ids=["missing", "damaged"])
def test_processes_at_the_same_time_make_it_once(tmp_path, count, damaged):
    folder, log = tmp_path / "cache" / "name", tmp_path / "log"
    log.touch()
    if damaged:
        cut(cached_folder(folder, make))
    together = FORK.Barrier(count)

    def logged(partial):
        with log.open("a") as file:
            file.write("made\n")
        make(partial)

    def work():
        together.wait()
        assert damage(cached_folder(folder, logged)) == ""

    workers = [FORK.Process(target=work) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * count
    assert log.read_text() == "made\n"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "Free space there"), (errno.EROFS, "Make it writable")],
    ids=["full", "read-only"],
)
def test_cache_that_cannot_be_written_is_named_with_a_remedy(tmp_path, code, remedy):
    def fail(folder):
        raise OSError(code, os.strerror(code))

    message = (
        rf"Cannot write the cache '{tmp_path}': {os.strerror(code)}\. {remedy}, or set HF_DATASETS_CACHE .*folder\.$"
    )
    with pytest.raises(ValueError, match=message):
        cached_folder(tmp_path / "name", fail)


def test_cache_below_a_file_is_named_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"Cannot write the cache '.*/file/cache': .*Make it writable"):
        cached_folder(tmp_path / "file" / "cache" / "name", make)


def test_other_failures_are_not_blamed_on_the_cache(tmp_path):
    def fail(folder):
        raise OSError("a damaged source")

    with pytest.raises(OSError, match="a damaged source"):
        cached_folder(tmp_path / "name", fail)


def test_whole_folder_of_a_read_only_cache_is_opened(tmp_path, monkeypatch):
    folder = cached_folder(tmp_path / "name", make)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(cache, "_locked", refuse)
    assert cached_folder(folder, make) == folder
