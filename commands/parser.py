"""The parser of `train.py`: flags only by their whole names, errors in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from commands.configuration import load as load_yaml
from commands.failures import debugging
from commands.sentences import sentence, settings_of

_CLASSES = {
    "model": "lightning_modules.seq2seq.Seq2SeqModule",
    "data": "datamodules.bilingual.BilingualDataModule",
}  # whose settings are suggested for a name without its group


class TrainParser(LightningArgumentParser):
    """Lightning's parser without abbreviations, which answers an error with one line."""

    def __init__(self, *args: Any, allow_abbrev: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=allow_abbrev, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Exit with code 2 and one sentence; nested parsers raise."""
        if not self.exit_on_error:
            super().error(message, ex)
        if debugging():
            raise ValueError(message) from ex
        parser = getattr(ex, "subcommand_parser", None) or self
        print(f"error: {sentence(message, parser.flags())}", file=sys.stderr)
        sys.exit(2)

    def parse_path(self, cfg_path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Read a configuration file; one that cannot be read is named with its line."""
        self._require_mapping(Path(cfg_path))
        return super().parse_path(cfg_path, *args, **kwargs)

    def _require_mapping(self, file: Path) -> None:
        try:
            content = load_yaml(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError as error:
            self.error(f"{file} is no text in UTF-8 (byte {error.start + 1}); save it as UTF-8.")
        except OSError as error:
            self.error(f"{file} cannot be read: {error.strerror}.")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = f", line {mark.line + 1}" if mark else ""
            self.error(f"{file}{place}: {error.problem}; mend it there or in the line before.")
        if not isinstance(content, dict):
            self.error(f"{file} holds no settings; write them as a mapping, such as `model: ...`.")

    def flags(self) -> list[str]:
        """Return the names that stand on a command line, without dashes."""
        own = [option.lstrip("-") for action in self._actions for option in action.option_strings]
        return own + [f"{group}.{name}" for group, path in _CLASSES.items() for name in settings_of(path, ())]
