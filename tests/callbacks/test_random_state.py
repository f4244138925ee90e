import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from callbacks.random_state import RandomState

MODULE: Any = None


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    np.random.standard_normal()  # leaves its twin cached: a part of the state
    random.gauss(0, 1)


def draw() -> list[float]:
    return [random.gauss(0, 1), random.random(), np.random.standard_normal(), np.random.rand(), torch.rand(()).item()]


def trainer(world_size: int = 1, rank: int = 0) -> Any:
    return SimpleNamespace(world_size=world_size, global_rank=rank)


def saved_state(path: Path) -> dict[str, Any]:
    """The callback's state after a round through a checkpoint file that may hold plain data only."""
    callback = RandomState()
    callback.setup(trainer(), MODULE, "fit")
    torch.save(callback.state_dict(), path)
    return torch.load(path, weights_only=True)


def test_resumed_run_draws_what_the_uninterrupted_one_draws(tmp_path: Path) -> None:
    state = saved_state(tmp_path / "state")
    expected = draw()
    assert draw() != expected
    resumed = RandomState()
    resumed.load_state_dict(state)
    resumed.on_train_batch_start(trainer(), MODULE, None, 0)
    assert draw() == expected


def test_state_is_restored_before_the_first_batch_and_only_there(tmp_path: Path) -> None:
    state = saved_state(tmp_path / "state")
    first, second = draw(), draw()
    resumed = RandomState()
    resumed.load_state_dict(state)
    draw()  # what a starting run may draw
    resumed.on_train_batch_start(trainer(), MODULE, None, 0)
    assert draw() == first
    resumed.on_train_batch_start(trainer(), MODULE, None, 1)
    assert draw() == second


def test_a_new_run_draws_undisturbed() -> None:
    before = random.getstate(), torch.get_rng_state()
    RandomState().on_train_batch_start(trainer(), MODULE, None, 0)
    assert random.getstate() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


def test_each_rank_restores_its_own_state(tmp_path: Path) -> None:
    first = saved_state(tmp_path / "first")["ranks"]
    draw()
    second = saved_state(tmp_path / "second")["ranks"]
    expected = draw()
    resumed = RandomState()
    resumed.load_state_dict({"ranks": first + second})
    resumed.on_train_batch_start(trainer(world_size=2, rank=1), MODULE, None, 0)
    assert draw() == expected


def test_on_another_number_of_devices_nothing_is_restored(tmp_path: Path) -> None:
    state = saved_state(tmp_path / "state")
    first = draw()
    resumed = RandomState()
    resumed.load_state_dict(state)
    resumed.on_train_batch_start(trainer(world_size=2), MODULE, None, 0)
    assert draw() != first
