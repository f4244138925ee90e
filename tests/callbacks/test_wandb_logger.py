import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import wandb

from callbacks.wandb_logger import ResumableWandbLogger, has_key


@pytest.fixture(autouse=True)
def no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that W&B knows nothing of, where a question for a key would fail."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(tmp_path)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_") and name != "NETRC"}
    with mock.patch.dict(os.environ, {**kept, "HOME": str(home), "WANDB_SILENT": "true"}, clear=True):
        monkeypatch.setattr("builtins.input", mock.Mock(side_effect=AssertionError("asked for a key")))
        monkeypatch.setattr("getpass.getpass", mock.Mock(side_effect=AssertionError("asked for a key")))
        wandb.teardown()  # it remembers a key that an earlier test has shown it
        yield
        wandb.teardown()


def test_without_a_key_it_is_offline_and_asks_nothing(tmp_path: Path) -> None:
    assert has_key() is False
    logger = ResumableWandbLogger(save_dir=str(tmp_path / "run"))
    assert logger._wandb_init["mode"] == "offline"
    assert logger._wandb_init["resume"] is None
    assert logger._wandb_init["settings"].x_transaction_log_flush_interval == 0.1


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandbs_own_mode_wins_over_a_key(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert has_key() is True
    monkeypatch.setenv("WANDB_MODE", mode)
    assert has_key() is False


@pytest.mark.parametrize(("offline", "mode", "resume"), [(True, "offline", None), (False, "online", "allow")])
def test_the_configuration_wins_over_what_is_found(
    tmp_path: Path, offline: bool, mode: str, resume: str | None
) -> None:
    logger = ResumableWandbLogger(save_dir=str(tmp_path / "run"), offline=offline)
    assert (logger._wandb_init["mode"], logger._wandb_init["resume"]) == (mode, resume)


def test_the_run_id_is_on_disk_before_anything_is_logged_and_is_used_again(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    first = ResumableWandbLogger(save_dir=str(run))
    written = (run / "wandb_run_id.txt").read_text().strip()
    assert len(written) == 8
    assert first.version == written
    assert first.name == "ozet"
    assert first._wandb_init["name"] == "runs-one"
    assert ResumableWandbLogger(save_dir=str(run)).version == written
    assert ResumableWandbLogger(save_dir=str(tmp_path / "runs" / "two")).version != written


def test_two_loggers_in_one_folder_log_under_one_id(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ids = []
    for rate in (0.1, 0.2):
        logger = ResumableWandbLogger(save_dir=str(run), name="named", tags=["tiny"])
        logger.log_hyperparams({"lr": 0.0})
        logger.log_hyperparams({"lr": rate})  # a changed setting is no error
        logger.log_metrics({"train/loss": rate}, step=1)
        assert logger.experiment.offline
        assert logger.experiment.config["lr"] == rate
        ids.append(logger.experiment.id)
        wandb.finish()
    assert ids == [(run / "wandb_run_id.txt").read_text().strip()] * 2
    assert len(list(run.glob(f"wandb/offline-run-*-{ids[0]}"))) >= 1
    assert not (tmp_path / "wandb").exists()


def test_a_key_that_is_no_key_leaves_it_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.warns(UserWarning, match="stays offline"):
        assert has_key() is False
