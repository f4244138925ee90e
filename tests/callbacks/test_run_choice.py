"""Which checkpoint a `ckpt_path` means, and what is refused before anything is built."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from saved_runs import SETTINGS, cut, damage, save_run

from callbacks.run_choice import FINISHED, FinishedRun, choose_checkpoint, limits

OLD, NEW = "20260101-000000", "20260102-000000"
SCORES = {2: 30.0, 3: 20.0}


def changed(name: str, value: Any) -> dict[str, Any]:
    """`SETTINGS` with one other."""
    settings = deepcopy(SETTINGS)
    *path, last = name.split(".")
    place = settings
    for key in path:
        place = place[key]
    place[last] = value
    return settings


def choose(root: Path, path: str | Path | None, subcommand: str = "fit", settings: Any = SETTINGS) -> Path | None:
    return choose_checkpoint(root, None if path is None else str(path), subcommand, lambda: settings)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / NEW, 2, 3, 5, scores=SCORES)


def test_last_is_of_the_newest_run_by_its_start_and_it_is_said(tmp_path: Path, run: Path, capsys) -> None:
    save_run(tmp_path / OLD, 9)  # written later
    assert choose(tmp_path, "last") == run / "checkpoints/last.ckpt"
    assert f"Continuing {run} at step 5" in capsys.readouterr().out
    assert choose(tmp_path, "best", "test") == run / "checkpoints/best-step=2.ckpt"
    assert f"Taking {run}/checkpoints/best-step=2.ckpt, saved at step 2" in capsys.readouterr().out


@pytest.mark.parametrize(("subcommand", "name"), [("fit", "last"), ("test", "best-step=2"), ("predict", "best-step=2")])
def test_a_runs_folder_means_its_last_for_training_and_its_best_else(run: Path, subcommand: str, name: str) -> None:
    assert choose(run.parent / "elsewhere", run, subcommand) == run / f"checkpoints/{name}.ckpt"


def test_a_run_that_died_before_its_first_save_is_not_passed_over_in_silence(tmp_path: Path, run: Path) -> None:
    died = save_run(tmp_path / "20260103-000000")
    for path in ("last", "best"):
        with pytest.raises(ValueError, match=rf"newest run '{died}' has saved no .* give --ckpt_path {run}$"):
            choose(tmp_path, path)
    assert choose(tmp_path, run) == run / "checkpoints/last.ckpt"


@pytest.mark.parametrize("path", ["last", "best"])
def test_without_any_checkpoint_there_is_none(tmp_path: Path, path: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"no checkpoint '{path}': no run under '{tmp_path}' has saved one"):
            choose(tmp_path, path)
        save_run(tmp_path / NEW) if not (tmp_path / NEW).exists() else None


def test_without_a_validation_there_is_no_best(tmp_path: Path) -> None:
    save_run(tmp_path / NEW, 5)
    with pytest.raises(ValueError, match=rf"{NEW}' has no best checkpoint: no validation has ended yet"):
        choose(tmp_path, "best")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.init_args.optimizer.init_args.lr", 0.2),
        ("data.init_args.batch_size", 8),
        ("seed_everything", 1),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.accumulate_grad_batches", 2),
    ],
)
def test_last_refuses_another_experiment_and_its_folder_continues_it(
    tmp_path: Path, run: Path, name: str, value: Any
) -> None:
    now = changed(name, value)
    for path in ("last", "best"):
        with pytest.raises(ValueError, match=rf"experiment \({name} was .*, is {value!r}\).* --ckpt_path {run}$"):
            choose(tmp_path, path, settings=now)
    assert choose(tmp_path, run, settings=now) == run / "checkpoints/last.ckpt"
    assert choose(tmp_path, "last", "test", settings=now) == run / "checkpoints/last.ckpt"
    assert choose(tmp_path, "auto", settings=now) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trainer.max_epochs", 20),
        ("trainer.devices", 2),
        ("trainer.callbacks", [{"class_path": "a.Callback"}]),
        ("trainer.logger", False),
        ("trainer.default_root_dir", "elsewhere"),
        ("data.init_args.num_workers", 4),
        ("ckpt_path", "last"),
    ],
)
def test_what_makes_no_other_experiment_may_change(tmp_path: Path, run: Path, name: str, value: Any) -> None:
    for path in ("last", "auto"):
        assert choose(tmp_path, path, settings=changed(name, value)) == run / "checkpoints/last.ckpt"


def test_many_differences_are_counted(tmp_path: Path, run: Path) -> None:
    now = changed("data.init_args", dict.fromkeys("abcdef", 1))
    with pytest.raises(ValueError, match=r"data\.init_args\.a was None, is 1; .*; and 4 more\)"):
        choose(tmp_path, "last", settings=now)


@pytest.mark.parametrize("spoil", [damage, cut])
def test_a_damaged_last_names_the_command_that_takes_the_next_older(tmp_path: Path, run: Path, spoil) -> None:
    spoil(run / "checkpoints/last.ckpt")
    for path in ("last", run, run / "checkpoints/last.ckpt"):
        with pytest.raises(ValueError, match=rf"damaged.* of step 3: --ckpt_path {run}/checkpoints/best-step=3\.ckpt$"):
            choose(tmp_path, path)
    for path in ("best", run):
        assert choose(tmp_path, path, "test") == run / "checkpoints/best-step=2.ckpt"


def test_weights_alone_can_be_tested_but_not_trained_on(tmp_path: Path, run: Path) -> None:
    file = run / "checkpoints/last.ckpt"
    content = torch.load(file, weights_only=True)
    del content["optimizer_states"], content["lr_schedulers"]
    torch.save(content, file)
    for path in ("last", run, file):
        with pytest.raises(ValueError, match=r"cannot go on from .*last\.ckpt': it holds weights .* model\.base"):
            choose(tmp_path, path)
        assert choose(tmp_path, path, "test") is not None


def test_another_optimizer_is_refused_by_name(tmp_path: Path, run: Path) -> None:
    now = changed("model.init_args.optimizer.class_path", "a.Muon")
    with pytest.raises(ValueError, match=r"another optimizer: it has the state of a\.Adam, and .* is a\.Muon\."):
        choose(tmp_path, run, settings=now)
    assert choose(tmp_path, run, "test", settings=now) is not None


def test_auto_begins_where_nothing_can_be_continued(tmp_path: Path, capsys) -> None:
    assert choose(tmp_path, "auto") is None
    assert "a new one begins" in capsys.readouterr().out
    save_run(tmp_path / NEW)
    assert choose(tmp_path, "auto") is None


def test_auto_goes_on_with_the_newest_run_of_the_experiment_that_has_a_checkpoint(tmp_path: Path, capsys) -> None:
    save_run(tmp_path / "20260101-000000", 9)
    wanted = save_run(tmp_path / "20260102-000000", 3)
    save_run(tmp_path / "20260103-000000", 4, settings=changed("seed_everything", 1))
    save_run(tmp_path / "20260104-000000")
    assert choose(tmp_path, "auto") == wanted / "checkpoints/last.ckpt"
    assert f"Continuing {wanted} at step 3" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [damage, cut])
def test_auto_takes_the_next_older_checkpoint_of_a_damaged_one_and_says_so(run: Path, capsys, spoil) -> None:
    last = spoil(run / "checkpoints/last.ckpt")
    assert choose(run.parent, "auto") == run / "checkpoints/best-step=3.ckpt"
    said = capsys.readouterr().out
    assert f"{last} cannot be used: it is damaged" in said
    assert f"Continuing {run} at step 3, from best-step=3.ckpt" in said


def test_auto_never_takes_an_older_checkpoint_for_its_settings(tmp_path: Path, run: Path) -> None:
    other = save_run(tmp_path / "other", 5, settings=changed("seed_everything", 1))
    (other / "checkpoints/last.ckpt").rename(run / "checkpoints/last.ckpt")  # continued with another seed
    assert choose(tmp_path, "auto") is None


def test_auto_starts_no_finished_run_again_until_its_limits_are_raised(tmp_path: Path, run: Path) -> None:
    (run / FINISHED).write_text(yaml.safe_dump(limits(SETTINGS["trainer"])))
    with pytest.raises(FinishedRun, match=rf"'{run}' has ended: .* 5 steps"):
        choose(tmp_path, "auto")
    assert choose(tmp_path, "auto", settings=changed("trainer.max_epochs", 4)) == run / "checkpoints/last.ckpt"
    assert choose(tmp_path, "last") == run / "checkpoints/last.ckpt"


def test_auto_is_for_training(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="auto is for fit; give test a run's folder"):
        choose(tmp_path, "auto", "test")


def test_without_a_path_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert choose(tmp_path, None) is None
    with pytest.raises(ValueError, match=r"No checkpoint file 'no/such\.ckpt'"):
        choose(tmp_path, "no/such.ckpt")
