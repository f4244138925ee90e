"""The settings that a checkpoint was trained with, as far as they matter to whoever uses its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lightning_modules.adaptation import Adaptation, Lora
from lightning_modules.generation import Generation
from lightning_modules.quantization import Quantization

CONFIGURATION = "config.yaml"  # of a run's folder
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class RunSettings:
    """Part of a run's configuration.

    Attributes:
        adaptation: What was trained.
        lora: The adapters.
        quantization: The 4-bit format of `qlora`.
        generation: How summaries are generated.
        precision: Lightning's name.
        prefixes: Text before each article, by each of the languages.
        max_source_tokens: Greatest length of an encoded article, `</s>` included.
        languages: Those of the data, each once, in the order of the sources.
        pretraining: Whether it learnt to fill gaps rather than to summarise.
    """

    adaptation: Adaptation
    lora: Lora
    quantization: Quantization
    generation: Generation
    precision: str
    prefixes: dict[str, str]
    max_source_tokens: int
    languages: list[str]
    pretraining: bool

    @property
    def source_prefix(self) -> str:
        """The one prefix of all languages; empty where they differ."""
        found = set(self.prefixes.values())
        return found.pop() if len(found) == 1 else ""


def settings_of(checkpoint: Mapping[str, Any], file: Path) -> RunSettings:
    """Reads the settings out of a checkpoint, or else out of its run's folder.

    Args:
        checkpoint: From `OzetCheckpointIO`.
        file: Where it was read from.

    Raises:
        ValueError: If neither holds a configuration.
    """
    configuration = configuration_of(checkpoint, file)
    model, data = configuration["model"]["init_args"], configuration["data"]["init_args"]
    return RunSettings(
        adaptation=model.get("adaptation", "full"),  # pretraining has no choice
        lora=known(Lora, model.get("lora")),
        quantization=known(Quantization, model.get("quantization")),
        generation=known(Generation, model.get("generation")),
        precision=str(configuration["trainer"]["precision"]),
        prefixes=_prefixes(data),
        max_source_tokens=data.get("max_source_tokens", 512),  # pretraining has blocks instead
        pretraining="SpanCorruption" in configuration["model"].get("class_path", ""),
        languages=list(dict.fromkeys(source["language"] for source in data["sources"])),
    )


def _prefixes(data: Mapping[str, Any]) -> dict[str, str]:
    """By language; of several sources of a language the first decides."""
    prefixes: dict[str, str] = {}
    for source in data["sources"]:
        language, own = source["language"], source.get("prefix")
        prefixes.setdefault(language, (data.get("prefixes") or {}).get(language, "") if own is None else own)
    return prefixes


def configuration_of(checkpoint: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """The resolved configuration of the run; see `settings_of`."""
    texts = (state.get("config") for state in checkpoint.get("callbacks", {}).values() if isinstance(state, dict))
    text = next((text for text in texts if isinstance(text, str)), None)
    beside = file.absolute().parent.parent / CONFIGURATION
    if text is None and beside.is_file():
        text = beside.read_text(encoding="utf-8")
    configuration = yaml.safe_load(text) if text is not None else None
    if not isinstance(configuration, dict) or not {"model", "data", "trainer"} <= configuration.keys():
        raise ValueError(
            f"{str(file)!r} does not hold its run's configuration, nor is there one in {str(beside)!r}. Give a "
            "checkpoint that `train.py fit` saved, in its run's folder."
        )
    return configuration


def known(settings: type[_Settings], values: Mapping[str, Any] | None) -> _Settings:
    """Settings from a file; those that this program does not have are left out."""
    names = {field.name for field in fields(settings)}  # type: ignore[arg-type]
    return settings(**{name: value for name, value in (values or {}).items() if name in names})
