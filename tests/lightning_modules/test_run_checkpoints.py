import shutil
from pathlib import Path

import pytest
from saved_runs import cut, damage, save_run

from lightning_modules.run_checkpoints import (
    best_checkpoint_of,
    checkpoint_of_run,
    last_checkpoint_of,
    load_usable,
    require_usable,
    runs_under,
)

SCORES = {1: 10.0, 2: 30.0, 3: 20.0, 4: 5.0}


def test_the_best_and_the_last_are_found_even_when_the_run_was_moved(tmp_path: Path) -> None:
    save_run(tmp_path / "run", 2, 3, 5, scores=SCORES)
    folder = Path(shutil.move(tmp_path / "run", tmp_path / "moved")) / "checkpoints"
    assert best_checkpoint_of(tmp_path / "moved") == folder / "best-step=2.ckpt"
    assert checkpoint_of_run(tmp_path / "moved") == folder / "best-step=2.ckpt"
    assert last_checkpoint_of(tmp_path / "moved") == folder / "last.ckpt"


def test_without_a_validation_there_is_no_best_and_the_last_is_taken(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", 5)
    assert best_checkpoint_of(run) is None
    assert checkpoint_of_run(run) == run / "checkpoints/last.ckpt"


def test_a_run_that_has_saved_nothing_says_so(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    for find in (checkpoint_of_run, last_checkpoint_of):
        with pytest.raises(ValueError, match=r"run' has no checkpoint: it has not saved one yet"):
            find(run)


def test_without_last_the_newest_is_the_last(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", 9, 10, 11)
    (run / "checkpoints/last.ckpt").unlink()
    assert last_checkpoint_of(run) == run / "checkpoints/best-step=10.ckpt"


@pytest.mark.parametrize(("best", "gone", "taken"), [(max, 2, 3), (min, 4, 1)])
def test_the_next_best_stands_in_for_a_best_that_is_gone(tmp_path: Path, caplog, best, gone: int, taken: int) -> None:
    run = save_run(tmp_path / "run", 1, 3, 5, scores=SCORES, best=best)
    assert best_checkpoint_of(run) == run / f"checkpoints/best-step={taken}.ckpt"
    assert f"best-step={gone}.ckpt is gone; the next best is used: {run}" in caplog.text


def test_of_a_best_of_which_no_file_is_left_there_is_none(tmp_path: Path) -> None:
    assert best_checkpoint_of(save_run(tmp_path / "run", 5, scores=SCORES)) is None


@pytest.mark.parametrize("spoil", [damage, cut])
def test_a_damaged_last_blocks_no_best_and_the_newest_that_can_be_read_says_which(tmp_path: Path, spoil) -> None:
    run = save_run(tmp_path / "run", 2, 3, 5, scores=SCORES)
    last = spoil(run / "checkpoints/last.ckpt")
    assert checkpoint_of_run(run) == run / "checkpoints/best-step=2.ckpt"
    for use in (require_usable, load_usable):
        with pytest.raises(ValueError, match=r"last\.ckpt.* damaged .* beside it is of step 3: .*/best-step=3\.ckpt$"):
            use(last)


def test_a_damaged_one_is_no_remedy_for_another(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", 2, 3, 5, scores=SCORES)
    damage(run / "checkpoints/best-step=3.ckpt")
    last = damage(run / "checkpoints/last.ckpt")
    with pytest.raises(ValueError, match=r"of step 2: --ckpt_path .*/best-step=2\.ckpt$"):
        require_usable(last, "--ckpt_path ")
    damage(run / "checkpoints/best-step=2.ckpt")
    with pytest.raises(ValueError, match=r"checksum is \w+ instead of \w+\)\.$"):
        require_usable(last)


def test_runs_are_ordered_by_their_start_whatever_was_written_last(tmp_path: Path) -> None:
    names = ["20260102-030405-10", "20260102-030405-2", "20260102-030405", "20251231-235959"]
    for name in names:  # the oldest is written last
        save_run(tmp_path / name, 1)
    assert [run.name for run in runs_under(tmp_path)] == names


def test_dev_runs_evaluations_and_other_folders_are_no_runs(tmp_path: Path) -> None:
    run = save_run(tmp_path / "20260101-000000", 1)
    dev = save_run(tmp_path / "20260102-000000", 1)  # as older versions left them, without a configuration
    (dev / "config.yaml").unlink()
    (tmp_path / "20260103-000000/test").mkdir(parents=True)
    assert runs_under(tmp_path) == [run]
    assert runs_under(tmp_path / "missing") == []
