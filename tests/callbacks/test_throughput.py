from types import SimpleNamespace
from typing import Any

import pytest
import torch

import callbacks.throughput
from callbacks.throughput import Throughput


class Clock:
    """Time that passes only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


class Module:
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.logged: list[tuple[str, float]] = []

    def log(self, name: str, value: float, **settings: Any) -> None:
        self.logged.append((name, value))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callbacks.throughput, "time", clock)
    return clock


@pytest.fixture
def module() -> Any:
    return Module()


class Trainer:
    """What the callback asks of a trainer that steps once every `accumulate` batches."""

    def __init__(self, log_every_n_steps: int, world_size: int, accumulate: int) -> None:
        self.log_every_n_steps, self.world_size, self.accumulate = log_every_n_steps, world_size, accumulate
        self.batches = 0
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(_should_accumulate=self._should_accumulate))

    @property
    def global_step(self) -> int:
        return self.batches // self.accumulate

    def _should_accumulate(self) -> bool:
        return self.batches % self.accumulate != 0


def start(
    log_every_n_steps: int, skip: int, module: Any, world_size: int = 1, accumulate: int = 1
) -> tuple[Throughput, Any]:
    throughput, trainer = Throughput(skip), Trainer(log_every_n_steps, world_size, accumulate)
    throughput.on_train_start(trainer, module)  # type: ignore[arg-type]
    return throughput, trainer


def train(throughput: Throughput, trainer: Any, module: Any, clock: Clock, rows: int, seconds: float) -> None:
    batch = {"ids": ["id"] * rows}
    throughput.on_train_batch_start(trainer, module, batch, 0)
    clock.now += seconds
    trainer.batches += 1
    throughput.on_train_batch_end(trainer, module, None, batch, 0)


def test_rate_is_articles_over_seconds_since_the_last_record(clock: Clock, module: Any) -> None:
    throughput, trainer = start(2, 0, module)
    for rows, seconds in ((4, 1.0), (6, 3.0), (8, 1.0), (8, 1.0), (100, 1.0)):
        train(throughput, trainer, module, clock, rows, seconds)
    assert module.logged == [("perf/articles_per_s", 10 / 4), ("perf/articles_per_s", 16 / 2)]


@pytest.mark.parametrize("skip", [1, 3])
def test_the_first_batches_are_left_out(clock: Clock, module: Any, skip: int) -> None:
    throughput, trainer = start(1, skip, module)
    for _ in range(skip):
        train(throughput, trainer, module, clock, 1000, 50.0)
    assert module.logged == []
    train(throughput, trainer, module, clock, 8, 2.0)
    assert module.logged == [("perf/articles_per_s", 4.0)]


@pytest.mark.parametrize("pause", ["validation", "checkpoint"])
def test_the_clock_stops_during_validation_and_checkpoints(clock: Clock, module: Any, pause: str) -> None:
    throughput, trainer = start(2, 0, module)
    train(throughput, trainer, module, clock, 6, 1.0)
    if pause == "validation":
        throughput.on_validation_start(trainer, module)
    else:
        throughput.on_save_checkpoint(trainer, module, {})
    clock.now += 1000
    train(throughput, trainer, module, clock, 6, 2.0)
    assert module.logged == [("perf/articles_per_s", 4.0)]


def test_waiting_for_data_between_batches_counts(clock: Clock, module: Any) -> None:
    throughput, trainer = start(2, 0, module)
    train(throughput, trainer, module, clock, 6, 1.0)
    clock.now += 4.0
    train(throughput, trainer, module, clock, 6, 1.0)
    assert module.logged == [("perf/articles_per_s", 2.0)]


def test_articles_of_all_devices_count(clock: Clock, module: Any) -> None:
    throughput, trainer = start(1, 0, module, world_size=4)
    train(throughput, trainer, module, clock, 5, 2.0)
    assert module.logged == [("perf/articles_per_s", 10.0)]


def test_rate_is_logged_once_a_step_however_many_batches_it_has(clock: Clock, module: Any) -> None:
    throughput, trainer = start(2, 0, module, accumulate=3)
    for _ in range(13):
        train(throughput, trainer, module, clock, 6, 2.0)
    assert module.logged == [("perf/articles_per_s", 3.0)] * 2


def test_a_second_fit_starts_afresh(clock: Clock, module: Any) -> None:
    throughput, trainer = start(3, 1, module)
    for _ in range(2):
        train(throughput, trainer, module, clock, 1000, 1.0)
    throughput.on_train_start(trainer, module)
    trainer.batches = 0
    for rows in (500, 3, 3):
        train(throughput, trainer, module, clock, rows, 1.0)
    assert module.logged == [("perf/articles_per_s", 3.0)]
