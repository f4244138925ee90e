import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
from jsonargparse import Namespace
from saved_runs import SETTINGS, save_run

import callbacks.run_folder
from callbacks.run_folder import DEFAULT_ROOT, lock_run, place_run
from lightning_modules.run_checkpoints import runs_under


@pytest.fixture(autouse=True)
def own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ):  # place_run sets a variable, for further processes of the same run
        for name in ("OZET_RUN_FOLDER", "OZET_CHECKPOINT"):
            os.environ.pop(name, None)
        os.environ.pop("LOCAL_RANK", None)
        yield


def configuration(root: str | Path | None, checkpoint: str | None = None) -> Namespace:
    return Namespace(
        ckpt_path=checkpoint,
        trainer=Namespace(
            default_root_dir=None if root is None else str(root),
            logger=[
                Namespace(class_path="a.WandbLogger", init_args=Namespace(save_dir=".")),
                Namespace(class_path="a.CSVLogger", init_args=Namespace(save_dir=None)),
                Namespace(class_path="a.CSVLogger", init_args=Namespace(save_dir="elsewhere")),
            ],
            callbacks=[
                Namespace(class_path="a.ModelCheckpoint", init_args=Namespace(dirpath=None)),
                Namespace(class_path="a.ModelCheckpoint", init_args=Namespace(dirpath="elsewhere")),
                Namespace(class_path="a.Throughput", init_args=Namespace()),
            ],
        ),
    )


def test_a_new_run_gets_a_folder_of_its_own_and_everything_writes_there(tmp_path: Path) -> None:
    config = configuration(tmp_path / "runs")
    folder = place_run(config, "fit")
    assert folder.parent == tmp_path / "runs"
    assert config.ckpt_path is None
    assert config.trainer.default_root_dir == str(folder)
    assert [logger.init_args.save_dir for logger in config.trainer.logger] == [str(folder), str(folder), "elsewhere"]
    first, second, other = config.trainer.callbacks
    assert first.init_args.dirpath == str(folder / "checkpoints")
    assert second.init_args.dirpath == "elsewhere"
    assert "dirpath" not in other.init_args


def test_without_a_root_runs_lie_under_the_default_one() -> None:
    assert place_run(configuration(None), "fit").parent == Path(DEFAULT_ROOT)


@pytest.mark.parametrize("logger", [None, False, True])
def test_a_run_without_configured_loggers_and_callbacks_is_placed_too(tmp_path: Path, logger: bool | None) -> None:
    config = Namespace(trainer=Namespace(default_root_dir=str(tmp_path), logger=logger, callbacks=None))
    assert place_run(config, "fit").parent == tmp_path
    assert config.trainer.logger is logger


def test_runs_that_start_in_the_same_second_never_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = mock.Mock()
    now.now.return_value.strftime.return_value = "20260102-030405"
    monkeypatch.setattr(callbacks.run_folder, "datetime", now)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(callbacks.run_folder._new_folder, [tmp_path] * 150))
    assert len(set(folders)) == 150
    assert folders[0].name.startswith("20260102-030405")


def test_further_processes_of_a_run_write_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = place_run(configuration(tmp_path), "fit")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert place_run(configuration(tmp_path), "fit") == first
    assert list(tmp_path.iterdir()) == [first]


@pytest.mark.parametrize(("which", "name"), [("last", "last.ckpt"), ("best", "best-step=2.ckpt")])
def test_a_continued_run_writes_into_its_own_folder(tmp_path: Path, which: str, name: str) -> None:
    run = save_run(tmp_path / "20260101-000000", 2, 3, scores={2: 1.0})
    config = configuration(tmp_path, which)
    assert place_run(config, "fit", lambda: SETTINGS) == run
    assert config.ckpt_path == str(run / "checkpoints" / name)
    assert config.trainer.logger[0].init_args.save_dir == str(run)
    assert config.trainer.callbacks[0].init_args.dirpath == str(run / "checkpoints")


def test_a_checkpoint_given_by_path_continues_its_run_whatever_the_root(tmp_path: Path) -> None:
    run = save_run(tmp_path / "other" / "run", 2, 3)
    for path in (run, run / "checkpoints" / "best-step=2.ckpt"):
        assert place_run(configuration(tmp_path / "runs", str(path)), "fit", lambda: SETTINGS) == run
    assert not (tmp_path / "runs").exists()


def test_a_checkpoint_outside_a_run_begins_a_new_one(tmp_path: Path) -> None:
    file = save_run(tmp_path / "run", 2) / "checkpoints/last.ckpt"
    file = file.rename(tmp_path / "downloaded.ckpt")
    config = configuration(tmp_path / "runs", str(file))
    assert place_run(config, "fit", lambda: SETTINGS).parent == tmp_path / "runs"
    assert config.ckpt_path == str(file)


def test_further_processes_do_what_the_first_has_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    run = save_run(tmp_path / "20260101-000000", 2)
    for path, folder, checkpoint in (("auto", run, run / "checkpoints/last.ckpt"), (None, None, None)):
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        first = place_run(configuration(tmp_path, path), "fit", lambda: SETTINGS)
        assert folder in (first, None)
        capsys.readouterr()
        save_run(tmp_path / f"20260102-00000{len(list(tmp_path.iterdir()))}", 9)  # by another command meanwhile
        monkeypatch.setenv("LOCAL_RANK", "1")
        config = configuration(tmp_path, path)
        assert place_run(config, "fit", lambda: SETTINGS) == first
        assert config.ckpt_path == (checkpoint and str(checkpoint))
        assert not capsys.readouterr().out


@pytest.mark.parametrize("path", ["last", "best", "no/such.ckpt"])
def test_a_checkpoint_that_does_not_exist_is_named_and_no_folder_made(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match=f"'{path}'"):
        place_run(configuration(tmp_path / "runs", path), "fit")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("checkpoint", [None, "last"])
def test_a_dev_run_writes_where_no_run_is_looked_for(tmp_path: Path, checkpoint: str | None) -> None:
    run = save_run(tmp_path / "20260101-000000", 2)
    config = configuration(tmp_path, checkpoint)
    config.trainer.fast_dev_run = True
    folder = place_run(config, "fit", lambda: SETTINGS)
    assert folder not in (run, tmp_path)
    assert runs_under(tmp_path) == [run]
    assert config.ckpt_path == (checkpoint and str(run / "checkpoints/last.ckpt"))


def test_a_root_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/ozet")):
        with pytest.raises(ValueError, match=rf"Cannot write to '{root}' \(.*\)\. Give .* --trainer\.default_root_dir"):
            place_run(configuration(root), "fit")


def test_a_run_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = save_run(tmp_path / "run", 2)

    def read_only(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)  # root may write anywhere
    with pytest.raises(ValueError, match=rf"Cannot write to '{run}' \(Permission denied\)\. Copy the run"):
        place_run(configuration(tmp_path, str(run)), "fit", lambda: SETTINGS)


def test_other_subcommands_log_into_a_folder_of_their_own(tmp_path: Path) -> None:
    config = configuration(tmp_path)
    folder = place_run(config, "test")
    assert config.trainer.default_root_dir == str(folder)
    saved = [logger.init_args.save_dir for logger in config.trainer.logger if "save_dir" in logger.init_args]
    assert str(folder / "test") in saved


@pytest.fixture
def training_elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A run's folder in which another process trains."""
    run = save_run(tmp_path / "runs" / "20260101-000000", 5)
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.lockf(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(run / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        yield run
        other.communicate()


def test_a_run_that_another_process_trains_is_not_continued(training_elsewhere: Path) -> None:
    with pytest.raises(ValueError, match=r"Another process is training in '.*20260101-000000'; wait until it ends"):
        lock_run(training_elsewhere)
