"""With the callbacks of configs/default.yaml, `best` is the best of all validations, the last epoch's included."""

from pathlib import Path

import pytest
import yaml
from command_line import records, run, run_folder

from lightning_modules.run_checkpoints import best_checkpoint_of

DEFAULT = yaml.safe_load((Path(__file__).parent.parent / "configs/default.yaml").read_text(encoding="utf-8"))
CHECKPOINTS = tuple(one for one in DEFAULT["trainer"]["callbacks"] if one["class_path"].endswith("Checkpoint"))


@pytest.mark.slow
def test_a_validation_at_the_end_of_the_last_epoch_counts(tmp_path):
    assert [one["class_path"].rsplit(".", 1)[1] for one in CHECKPOINTS] == ["BestCheckpoint", "LastCheckpoint"]
    # The learning loss falls, ROUGE of random weights is chance.
    by_loss = CHECKPOINTS[0] | {"init_args": {"monitor": "val/loss", "mode": "min"}}
    flags = ("--trainer.val_check_interval=1.0", "--trainer.max_epochs=2", "--model.adaptation=full")
    run("fit", tmp_path, *flags, callbacks=(by_loss, CHECKPOINTS[1]))
    losses = records(tmp_path)["val/loss"]
    last = max(losses)
    assert losses[last] == min(losses.values())
    folder = run_folder(tmp_path)
    assert best_checkpoint_of(folder) == folder / "checkpoints" / f"best-step={last + 1}.ckpt"
