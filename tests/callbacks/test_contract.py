"""What every callback must stand: being built from YAML, two fits, validate, test, predict, a resume, the others."""

import importlib
import inspect
import io
import pkgutil
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch.loggers import CSVLogger

import callbacks.bertscore_process
from lightning_modules.evaluation import EvaluatedSummary, Evaluation, Scoring
from lightning_modules.generation import Generation
from train import Trainer

# Built by the command line itself, or a base of others.
NOT_FROM_YAML = {"RunRecord", "NanReplay", "TrainingProgressBar", "Watcher"}
FAKE_SCORER = Path(__file__).parent.parent / "fake_scorer.py"


def classes() -> dict[str, type[L.Callback]]:
    found = {}
    for module in pkgutil.iter_modules(callbacks.__path__):
        for name, value in vars(importlib.import_module(f"callbacks.{module.name}")).items():
            own = inspect.isclass(value) and value.__module__ == f"callbacks.{module.name}"
            if own and issubclass(value, L.Callback):
                found[name] = value
    return {name: found[name] for name in sorted(found.keys() - NOT_FROM_YAML)}


def build(name: str) -> L.Callback:
    """The callback as the command line builds it from YAML."""
    parser = ArgumentParser()
    parser.add_subclass_arguments(L.Callback, "callback")
    configured = {"class_path": f"{classes()[name].__module__}.{name}", "init_args": {}}
    return parser.instantiate(parser.parse_object({"callback": configured})).callback


class Echo(L.LightningModule):
    """Repeats the first word of each article."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.evaluation = Evaluation()
        self.generation, self.scoring, self.base_identity = Generation(), Scoring(), {}

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch["x"]).pow(2).mean()
        self.log("train/loss", loss, batch_size=2)
        return loss

    def on_validation_epoch_start(self):
        self.evaluation = Evaluation()

    def validation_step(self, batch, batch_idx):
        losses = torch.ones(2, 3)
        self.evaluation.add(self.predict_step(batch, batch_idx), losses, losses > 0)

    def on_validation_epoch_end(self):
        self.evaluation.score(Scoring())
        stage = "test" if self.trainer.testing else "val"
        self.log_dict({f"{stage}/{name}": value for name, value in self.evaluation.metrics().items()})

    on_test_epoch_start, test_step, on_test_epoch_end = (
        on_validation_epoch_start,
        validation_step,
        on_validation_epoch_end,
    )

    def predict_step(self, batch, batch_idx):
        articles = ["kar yağdı bugün çok", "yağmur dindi artık"]
        return [
            EvaluatedSummary(name, "tr", article, article, article.split()[0], True, False)
            for name, article in zip(batch["ids"], articles, strict=True)
        ]


def batches() -> torch.utils.data.DataLoader:
    rows = [{"x": torch.randn(2, 2), "ids": [f"{i}a", f"{i}b"], "languages": ["tr", "tr"]} for i in range(3)]
    return torch.utils.data.DataLoader(rows, batch_size=None)


def trainer(folder: Path, chosen: list[L.Callback], epochs: int = 1) -> L.Trainer:
    return Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        default_root_dir=folder,
        callbacks=chosen,
        logger=CSVLogger(folder, name="metrics"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(one, L.pytorch.callbacks.Checkpoint) for one in chosen),
    )


def use(folder: Path, chosen: list[L.Callback]) -> None:
    """Everything that a trainer does, twice."""
    module = Echo()
    worker = trainer(folder, chosen)
    worker.fit(module, batches(), batches())
    worker.fit_loop.max_epochs = 2
    worker.fit(module, batches(), batches())
    assert worker.global_step == 6
    worker.validate(module, batches(), verbose=False)
    worker.test(module, batches(), verbose=False)
    worker.predict(module, batches())


def as_saved(state: dict) -> dict:
    """Through a file, as a checkpoint is read: tensors and plain data only."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.fixture(autouse=True)
def same_numbers_and_no_encoder(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(callbacks.bertscore_process, "_COMMAND", (sys.executable, str(FAKE_SCORER), "answers"))


def test_every_callback_is_found():
    files = {module.name for module in pkgutil.iter_modules(callbacks.__path__)}
    assert len(classes()) >= 12
    assert {cls.__module__.split(".")[1] for cls in classes().values()} <= files


@pytest.mark.parametrize("name", classes())
def test_it_is_used_for_everything_twice_and_takes_up_its_state(name, tmp_path):
    callback = build(name)
    use(tmp_path / "first", [callback])
    state = as_saved(callback.state_dict())
    fresh = build(name)
    fresh.load_state_dict(state)
    use(tmp_path / "second", [fresh])
    assert as_saved(fresh.state_dict()).keys() == state.keys()


def test_a_loaded_state_is_the_saved_one():
    for name in classes().keys() - {"RandomState"}:  # which is the state of the whole process
        callback, fresh = build(name), build(name)
        fresh.load_state_dict(as_saved(callback.state_dict()))
        assert str(fresh.state_dict()) == str(callback.state_dict()), name


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "in reverse"])
def test_all_of_them_work_together(order, tmp_path):
    use(tmp_path, [build(name) for name in list(classes())[::order]])
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    assert (tmp_path / "summaries.jsonl").is_file()
    assert (tmp_path / "predictions.jsonl").is_file()
    assert (tmp_path / "test" / "results.json").is_file()


def test_a_fit_with_all_of_them_goes_on_from_its_checkpoint(tmp_path):
    trainer(tmp_path, [build(name) for name in classes()]).fit(Echo(), batches(), batches())
    resumed = trainer(tmp_path, [build(name) for name in classes()], epochs=2)
    resumed.fit(Echo(), batches(), batches(), ckpt_path=tmp_path / "checkpoints" / "last.ckpt")
    assert resumed.global_step == 6
