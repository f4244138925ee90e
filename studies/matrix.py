"""The runs that a study consists of."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from studies.study import Study

LEARNING_RATE = "model.optimizer.init_args.lr"
# A line for each step of a progress bar would make the logs endless; a study may switch it on again.
_FIRST = ("--trainer.enable_progress_bar=false",)


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        labels: The cell: a label for each axis.
        learning_rate: Tried or chosen; None leaves that of the flags.
        seed: Of everything that is random.
        fit_flags: For `train.py fit`.
        test_flags: For `train.py test`.
        trained: False where the base itself is tested.
    """

    labels: tuple[tuple[str, str], ...]
    learning_rate: float | None
    seed: int
    fit_flags: tuple[str, ...]
    test_flags: tuple[str, ...]
    trained: bool = True

    @property
    def cell(self) -> str:
        """The labels in one word."""
        return "_".join(label for _, label in self.labels)

    @property
    def name(self) -> str:
        """Also its folder within that of the study."""
        rate = () if self.learning_rate is None else (f"lr-{self.learning_rate:g}",)
        return "/".join((self.cell, *rate, f"seed-{self.seed}"))


@dataclass(frozen=True)
class Cell:
    """One combination of the axes' values.

    Attributes:
        labels: A label for each axis.
        flags: For `train.py`, without learning rate and seed.
        learning_rates: To try; None alone where there is nothing to try.
        trained: False where the base itself is tested: once, since rates and seeds change nothing.
    """

    study: Study
    labels: tuple[tuple[str, str], ...]
    flags: tuple[str, ...]
    learning_rates: tuple[float | None, ...]
    trained: bool = True

    @property
    def has_rates_to_try(self) -> bool:
        """Whether the study gives it learning rates to try; else that of the flags is used."""
        return self.learning_rates != (None,)

    def run(self, learning_rate: float | None, seed: int) -> Run:
        """The training of this cell with a rate and a seed."""
        rate = () if learning_rate is None else (f"--{LEARNING_RATE}={learning_rate:g}",)
        flags = (*self.flags, *rate, f"--seed_everything={seed}")
        return Run(self.labels, learning_rate, seed, flags, (*flags, *self.study.test_flags), self.trained)

    def tries(self) -> list[Run]:
        """One for each rate, with the first seed."""
        return [self.run(rate, self.study.seeds[0]) for rate in self.learning_rates]

    def finals(self, learning_rate: float | None) -> list[Run]:
        """One for each seed, with the chosen rate; the first of them is one of the tries."""
        return [self.run(learning_rate, seed) for seed in self.study.seeds[: None if self.trained else 1]]


def cells(study: Study) -> list[Cell]:
    """All combinations of the axes' values, in their order.

    Raises:
        ValueError: If two of them have one name.
    """
    found = []
    for labels in itertools.product(*study.axes.values()):
        named = tuple(zip(study.axes, labels, strict=True))
        own = [study.axes[axis][label] for axis, label in named]
        trained = None not in own
        flags = [*_FIRST, *study.flags, *(flag for flags in own for flag in flags or ())]
        rates = _learning_rates(study, dict(named)) if trained else (None,)
        found.append(Cell(study, named, tuple(_with_labels(flag, named) for flag in flags), rates, trained))
    names = [cell.run(None, 0).cell for cell in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"Two cells of study {study.name!r} are called {twice!r}; rename a label.")
    return found


def run_count(study: Study) -> int:
    """Trainings that the whole study takes: of each cell the tries, and the chosen rate with the other seeds."""
    return sum(len(cell.learning_rates) + len(study.seeds) - 1 for cell in cells(study) if cell.trained)


def _with_labels(flag: str, labels: Iterable[tuple[str, str]]) -> str:
    """Return the flag with each `{axis}` replaced by the cell's label of that axis."""
    for axis, label in labels:
        flag = flag.replace(f"{{{axis}}}", label)
    return flag


def _learning_rates(study: Study, labels: dict[str, str]) -> tuple[float | None, ...]:
    rates = study.learning_rates
    return (None,) if rates is None else tuple(rates.values[labels[rates.axis]])
