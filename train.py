"""Trains, evaluates and predicts: `python train.py {fit,validate,test,predict,prepare,replay} --config FILE ...`.

Without arguments: `fit --config configs/quickstart.yaml`. `configs/default.yaml` lies under every configuration.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import datasets
import lightning as L
import yaml
from jsonargparse import Namespace
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks.graceful_stop import GracefulStop
from callbacks.nan_replay import TRAINER_SETTINGS, replay
from callbacks.progress_bar import TrainingProgressBar
from callbacks.random_state import RandomState
from callbacks.results_writer import ResultsWriter
from callbacks.run_choice import FinishedRun
from callbacks.run_folder import lock_run, place_preparation, place_run, require_writable
from callbacks.run_record import RunRecord, resolved
from callbacks.watcher import guard_logger
from commands.configuration import install as install_configuration_rules
from commands.failures import answer
from commands.parser import TrainParser
from commands.trainer_settings import require_supported
from lightning_modules.adaptation import require_supported_precision
from lightning_modules.checkpoint_file import OzetCheckpointIO
from lightning_modules.training_loops import install

ROOT = Path(__file__).resolve().parent
SUBCOMMANDS = ("fit", "validate", "test", "predict", "prepare", "replay")


class Trainer(L.Trainer):
    """Lightning's trainer with two more commands, and with loops that resume exactly."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        install(self)

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint after all that was logged before it: a resumed run logs only what comes later."""
        for logger in self.loggers:
            logger.save()
        super().save_checkpoint(*args, **kwargs)

    def validate(self, *args: Any, verbose: bool | None = None, **kwargs: Any) -> Any:
        """Evaluate on the validation rows; Lightning prints its table if told to, or if `ResultsWriter` prints none."""
        return super().validate(*args, verbose=self._without_results() if verbose is None else verbose, **kwargs)

    def test(self, *args: Any, verbose: bool | None = None, **kwargs: Any) -> Any:
        """Evaluate on the test rows; Lightning prints its table if told to, or if `ResultsWriter` prints none."""
        return super().test(*args, verbose=self._without_results() if verbose is None else verbose, **kwargs)

    def _without_results(self) -> bool:
        return not any(isinstance(callback, ResultsWriter) for callback in self.callbacks)

    def prepare(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Download and check the base, then the data, encode them, print the report and keep it, without training.

        Args:
            model: Whose base is checked.
            datamodule: Whose rows are read.
            ckpt_path: Unused; in the `config.yaml` of a run.
            weights_only: Unused; in the `config.yaml` of a run.
        """
        model.prepare_data()
        datamodule.trainer = self  # it keeps its report in the trainer's folder
        datamodule.prepare_data()

    def replay(
        self,
        model: L.LightningModule,
        datamodule: L.LightningDataModule,
        folder: Path,
        ckpt_path: str | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Repeat a step that NanMonitor recorded, and print what is not finite, without training.

        Args:
            model: Of the run.
            datamodule: Of the run; only its tokenizer is used.
            folder: What NanMonitor wrote, such as `runs/<name>/<run>/nan/step-000123`.
            ckpt_path: Unused; in the `config.yaml` of a run.
            weights_only: Unused; in the `config.yaml` of a run.
        """
        replay(self, model, datamodule, folder)


class OzetCLI(LightningCLI):
    """Wires configuration to classes."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Takes what two classes need from one place."""
        parser.link_arguments("model.init_args.base", "data.init_args.tokenizer")
        parser.link_arguments("model.init_args.revision", "data.init_args.revision")
        parser.link_arguments("seed_everything", "data.init_args.seed")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, `prepare` and `replay`."""
        own = {name: {"model", "datamodule"} for name in ("prepare", "replay")}
        return {**LightningCLI.subcommands(), **own}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses; Lightning would warn that arguments are given twice."""
        self.config = parser.parse_args(args)

    def _parse_ckpt_path(self) -> None:
        """Leaves the configuration as it is: Lightning would let a checkpoint's settings win over the command line."""

    def before_instantiate_classes(self) -> None:
        """Refuses what cannot work, and places the run, before anything is built."""
        config = self.config[self.subcommand]
        require_supported_precision(str(config.trainer.precision))
        require_supported(config.trainer)
        if self.subcommand != "replay":
            cache = Path(datasets.config.HF_DATASETS_CACHE)
            require_writable(
                cache, "Set HF_DATASETS_CACHE, or HF_HOME for all caches, to a folder that can be written."
            )
        if self.subcommand == "prepare":
            config.trainer.logger = False
            place_preparation(config)
        elif self.subcommand == "replay":
            config.trainer.update(Namespace(TRAINER_SETTINGS))
        else:
            try:
                place_run(config, self.subcommand, self._settings)
            except FinishedRun as finished:
                print(finished, flush=True)
                sys.exit(0)

    def _settings(self) -> dict[str, Any]:
        return yaml.safe_load(resolved(self._parser(self.subcommand), self.config[self.subcommand]))

    def before_fit(self) -> None:
        """Locks and records the run before its data are prepared and its model is loaded."""
        if self.trainer.is_global_zero:
            lock_run(Path(self.trainer.default_root_dir))
        for record in self.trainer.callbacks:
            if isinstance(record, RunRecord) and self.trainer.is_global_zero:
                record.begin(Path(self.trainer.default_root_dir))

    def _run_subcommand(self, subcommand: str) -> None:
        """Check the base, then run it, and answer signals meanwhile."""
        stops = [callback for callback in self.trainer.callbacks if isinstance(callback, GracefulStop)]
        with stops[0].listening():
            if subcommand not in ("prepare", "replay"):
                self.model.prepare_data()  # takes seconds, and the data may take hours
            super()._run_subcommand(subcommand)

    def after_instantiate_classes(self) -> None:
        """Puts our checkpoint reading and writing and our progress bar in, and restored random states first."""
        self.trainer.strategy.checkpoint_io = OzetCheckpointIO()
        for logger in self.trainer.loggers:
            guard_logger(logger)
        self.trainer.callbacks = [
            TrainingProgressBar() if isinstance(callback, ProgressBar) else callback
            for callback in self.trainer.callbacks
        ]
        # Lightning appends default callbacks; NanMonitor must see the states that a batch really begins with.
        self.trainer.callbacks.sort(key=lambda callback: not isinstance(callback, RandomState))


class ReadingCLI(OzetCLI):
    """Reads a command line and runs nothing: programs that start `train.py` check with it what they ask for."""

    def _set_seed(self) -> None:
        """Leaves random states alone."""

    def before_instantiate_classes(self) -> None:
        """Refuses what cannot work."""
        trainer = self.config[self.subcommand].trainer
        require_supported_precision(str(trainer.precision))
        require_supported(trainer)

    def instantiate_classes(self) -> None:
        """Builds nothing."""

    def after_instantiate_classes(self) -> None:
        """Changes nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Runs nothing."""


def main(args: list[str] | None = None, cli: type[OzetCLI] | None = None) -> OzetCLI:
    """Runs the command line.

    Args:
        args: Arguments; those of the process if None.
        cli: What to do with them; `OzetCLI` if None.
    """
    args = with_subcommand(sys.argv[1:] if args is None else args)
    install_configuration_rules()
    defaults = {"default_config_files": [str(ROOT / "configs/default.yaml")]}
    return (cli or OzetCLI)(
        parser_class=TrainParser,
        auto_configure_optimizers=False,  # model.optimizer is the only place for it
        subclass_mode_model=True,
        subclass_mode_data=True,
        save_config_callback=RunRecord,
        seed_everything_default=0,
        trainer_class=Trainer,
        trainer_defaults={"callbacks": [RandomState(), GracefulStop()]},
        parser_kwargs=dict.fromkeys(SUBCOMMANDS, defaults),
        args=args,
    )


def run() -> None:
    """Runs the command line of the process."""
    main()


def with_subcommand(args: list[str]) -> list[str]:
    """Return the command line with `fit --config configs/quickstart.yaml` before flags that stand alone."""
    alone = not args or (args[0].startswith("--") and args[0] not in ("--help", "--version"))
    return ["fit", "--config", str(ROOT / "configs/quickstart.yaml"), *args] if alone else args


if __name__ == "__main__":
    answer(run)
