"""One --config chooses where a run is watched."""

import pytest
from command_line import SAVE_EVERY_STEP, run, run_folder

WRITES = {"csv": "metrics.csv", "tensorboard": "events.out.tfevents.*"}


@pytest.mark.parametrize("logger", WRITES)
def test_logger_file_chooses_what_a_run_leaves(tmp_path, logger):
    one_step = ("--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--model.schedule.warmup_steps=1")
    # Without a logger first, since tiny.yaml has one.
    run(
        "fit",
        tmp_path,
        "--trainer.logger=false",
        f"--config=configs/logger/{logger}.yaml",
        *one_step,
        callbacks=SAVE_EVERY_STEP,
    )
    left = {name: list(run_folder(tmp_path).rglob(pattern)) for name, pattern in WRITES.items()}
    assert [name for name, files in left.items() if files] == [logger]
    assert b"train/loss" in left[logger][0].read_bytes()
