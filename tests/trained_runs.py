"""Short runs of each adaptation, and what their models said in the process that trained them."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from command_line import SAVE_EVERY_STEP, run, run_folder
from random_model import write_random_model

SHORT = ("--trainer.max_steps=2", "--model.schedule.warmup_steps=0", "--model.optimizer.lr=0.01")
SETTINGS = {
    "full": ("--model.adaptation=full", "--model.optimizer.lr=0.001", "--data.prefixes={tr: 'özet: ', en: 'özet: '}"),
    "lora": ("--model.adaptation=lora", "--model.lora.targets=[q, v]"),
    "dora": ("--model.adaptation=dora", "--model.generation.num_beams=2", "--data.max_source_tokens=40"),
    "qlora": ("--data.vocabulary.reserve=0", "--model.quantization={wo: true, embedding_bits: 8, head_bits: 4}"),
}


@dataclass(frozen=True)
class TrainedRun:
    """A run's folder, its base (with weights), its articles (prefixes left out), and its summaries of them."""

    folder: Path
    base: Path
    articles: list[str]
    summaries: list[str]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, random_mt5: Path) -> Callable[[str], TrainedRun]:
    """Trains a run of `SETTINGS` when it is first asked for."""
    root = tmp_path_factory.mktemp("trained")
    base = write_random_model(random_mt5, root / "base")
    return functools.cache(lambda name: _train(root / name, base, SETTINGS[name]))


def _train(root: Path, base: Path, flags: tuple[str, ...]) -> TrainedRun:
    cli = run("fit", root, f"--model.base={base}", *SHORT, *flags, callbacks=SAVE_EVERY_STEP)
    cli.model.eval()
    batches = [batch.to(torch.device("cpu")) for batch in cli.datamodule.test_dataloader()]
    with torch.no_grad():
        summaries = [one for batch in batches for one in cli.model.summarize(batch)]
    articles, predictions = [one.article for one in summaries], [one.prediction for one in summaries]
    assert len(set(predictions)) > 1  # equal ones could not tell models apart
    return TrainedRun(run_folder(root), base, articles, predictions)
