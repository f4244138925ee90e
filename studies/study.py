"""What a study file says: which settings are compared, how often, and against which."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

Flags = list[str]
# Labels become names of folders.
_LABEL = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class LearningRates:
    """Rates to try, of which the best is kept: each method has its own best.

    Args:
        axis: The axis whose values have rates of their own.
        values: By the axis' label, the rates; as many for each, so that none has more luck than another.
    """

    axis: str
    values: dict[str, list[float]]


@dataclass(frozen=True)
class Study:
    """A study.

    A later flag wins: those of all cells stand first, those of the axes next, in their order, then the learning rate.

    Args:
        name: Of the study; also of its folder.
        axes: By axis and label, the flags of `train.py` for each value. Every combination is a cell. `{axis}` in a flag
            stands for the cell's label of that axis. None instead of flags: the base is tested, without training.
        reference: The cell that the others are tested against: a label for each axis.
        question: What it asks, for the report.
        flags: Of all cells.
        test_flags: Added where a model is tested.
        seeds: Each cell is trained with each.
        learning_rates: Tried with the first seed; the one with the best validation is then trained with the others.
        monitor: The validation figure, the greater the better, which decides between the rates.
        tested: Whether models are tested; `false` where another program evaluates them.

    Raises:
        ValueError: If an axis, the seeds or the rates are empty, a label is not legal, or the reference is no cell.
    """

    name: str
    axes: dict[str, dict[str, Flags | None]]
    reference: dict[str, str]
    question: str = ""
    flags: Flags = field(default_factory=list)
    test_flags: Flags = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [0])
    learning_rates: LearningRates | None = None
    monitor: str = "val/rougeL"
    tested: bool = True

    def __post_init__(self) -> None:
        _require_labels([self.name], "name")
        if not self.axes:
            raise ValueError("axes is empty; name at least one, such as `method`.")
        for axis, values in self.axes.items():
            if not values:
                raise ValueError(f"axes.{axis} is empty; give it at least one value with its flags.")
            _require_labels(values, f"axes.{axis}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} must be at least one number, each once.")
        self._require_reference()
        if self.learning_rates is not None:
            self._require_rates(self.learning_rates)

    def _require_reference(self) -> None:
        if self.reference.keys() != self.axes.keys():
            raise ValueError(f"reference {self.reference} must name one value of each axis: {', '.join(self.axes)}.")
        for axis, label in self.reference.items():
            if label not in self.axes[axis]:
                raise ValueError(
                    f"reference.{axis} {label!r} is unknown; axes.{axis} has {', '.join(self.axes[axis])}."
                )

    def _require_rates(self, rates: LearningRates) -> None:
        if rates.axis not in self.axes:
            raise ValueError(f"learning_rates.axis {rates.axis!r} is unknown; there are {', '.join(self.axes)}.")
        labels = self.axes[rates.axis]
        if rates.values.keys() != labels.keys():
            raise ValueError(f"learning_rates.values must have exactly the labels {', '.join(labels)}.")
        counts = {label: len(set(values)) for label, values in rates.values.items()}
        if len(set(counts.values())) > 1 or not min(counts.values()):
            raise ValueError(f"learning_rates.values must hold as many different rates for each label, got {counts}.")
        for label, values in rates.values.items():
            if min(values) <= 0:
                raise ValueError(f"learning_rates.values.{label} {values} must be above 0.")


def read_study(path: Path, variables: Mapping[str, str] | None = None) -> Study:
    """Reads a study file.

    Args:
        path: YAML with the fields of `Study`, and `variables`: names with their defaults, null where one must be given.
            `{name}` in the file stands for the value. Flags are written without dashes, as a mapping such as
            `{model.lora.rank: 8}`; `config` names configuration files.
        variables: Values that win over the defaults.

    Raises:
        ValueError: If the file cannot be read, has an unknown field, or a variable is unknown or has no value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"Cannot read the study {str(path)!r}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{str(path)!r} is no study: it must hold fields such as name, axes and reference.")
    values = _values(content.pop("variables", None) or {}, variables or {}, path)
    both = sorted(values.keys() & (content.get("axes") or {}).keys())
    if both:
        raise ValueError(f"{str(path)!r}: {both[0]!r} is a variable and an axis; rename one.")
    content = _with_command_lines(_filled(content, values), path)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Study, "study")
    try:
        return parser.instantiate_classes(parser.parse_object({"study": content})).study
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{str(path)!r}: {error}") from error


def command_line(flags: Mapping[str, Any]) -> Flags:
    """Flags as `train.py` takes them.

    Example:
        >>> command_line({"config": ["a.yaml", "b.yaml"], "model.lora.targets": ["q", "v"], "trainer.logger": False})
        ['--config=a.yaml', '--config=b.yaml', '--model.lora.targets=["q", "v"]', '--trainer.logger=false']
    """
    lines = []
    for name, value in flags.items():
        several = value if name == "config" and isinstance(value, list) else [value]
        lines += [f"--{name}={one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)}" for one in several]
    return lines


def _with_command_lines(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The content of a study file with every mapping of flags as a command line."""

    def converted(flags: Any, where: str) -> Flags:
        if not isinstance(flags, dict):
            raise ValueError(
                f"{str(path)!r}: {where} must be a mapping from flags of train.py to values, got {flags!r}."
            )
        return command_line(flags)

    own: dict[str, Any] = {
        name: converted(content[name] or {}, name) for name in ("flags", "test_flags") if name in content
    }
    axes = content.get("axes")
    if not isinstance(axes, dict) or not all(isinstance(values, dict) for values in axes.values()):
        raise ValueError(f"{str(path)!r}: axes must hold, by axis and label, the flags of each value.")
    own["axes"] = {
        axis: {
            label: None if flags is None else converted(flags, f"axes.{axis}.{label}")
            for label, flags in values.items()
        }
        for axis, values in axes.items()
    }
    return content | own


def _require_labels(labels: Sequence[str] | Mapping[str, Any], where: str) -> None:
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{where}: {label!r} becomes the name of a folder; use letters, digits, dot, +, - and _.")


def _values(defaults: Mapping[str, Any], given: Mapping[str, str], path: Path) -> dict[str, Any]:
    unknown = sorted(given.keys() - defaults.keys())
    if unknown:
        known = ", ".join(defaults) or "none"
        raise ValueError(f"{str(path)!r} has no variable {unknown[0]!r}; it has: {known}.")
    values = {**defaults, **given}
    lacking = [name for name, value in values.items() if value is None]
    if lacking:
        raise ValueError(f"{str(path)!r} needs a value for {', '.join(lacking)}: add --set {lacking[0]}=VALUE.")
    return values


def _filled(value: Any, variables: Mapping[str, Any]) -> Any:
    """The value with every `{name}` replaced; a text that is nothing else becomes a number where it looks like one."""
    if isinstance(value, dict):
        return {key: _filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    for name, given in variables.items():
        if value == f"{{{name}}}":
            return yaml.safe_load(given) if isinstance(given, str) else given
        value = value.replace(f"{{{name}}}", str(given))
    return value
