"""Run folders as training leaves them, with checkpoints of two numbers."""

from pathlib import Path
from typing import Any

import torch
import yaml

from lightning_modules.checkpoint_file import OzetCheckpointIO

SETTINGS: dict[str, Any] = {
    "seed_everything": 0,
    "model": {"class_path": "a.Module", "init_args": {"optimizer": {"class_path": "a.Adam", "init_args": {"lr": 0.1}}}},
    "data": {"class_path": "a.Data", "init_args": {"batch_size": 4, "num_workers": 0}},
    "trainer": {"max_epochs": 3, "max_steps": -1, "precision": "32-true"},
}


def save_run(
    run: Path, *steps: int, scores: dict[int, float] | None = None, best=max, settings: dict[str, Any] = SETTINGS
) -> Path:
    """A run that began and saved a checkpoint after each of some steps, `last.ckpt` after the last of them.

    Args:
        run: Its folder.
        steps: All but the last are saved as `best-step=N.ckpt`.
        scores: By step, what the validation gave; the file of that step need not be there.
        best: Whether the greatest score is the best, or the least.
        settings: Its configuration.
    """
    folder = run / "checkpoints"
    folder.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    for step in steps:
        seen = {one: torch.tensor(score) for one, score in (scores or {}).items() if one <= step}
        paths = {one: str(folder / f"best-step={one}.ckpt") for one in seen}
        first = best(seen, key=seen.__getitem__, default=None)
        states = {
            "best_model_path": paths.get(first, ""),
            "best_model_score": seen.get(first),
            "best_k_models": {paths[one]: score for one, score in seen.items()},
        }
        checkpoint = {
            "global_step": step,
            "state_dict": {"w": torch.tensor([1.0, 2.0])},
            "callbacks": {"RunRecord": {"config": yaml.safe_dump(settings)}, "ModelCheckpoint{}": states},
            "optimizer_states": [{"state": {}, "param_groups": []}],
            "lr_schedulers": [{}],
        }
        name = "last.ckpt" if step == steps[-1] else f"best-step={step}.ckpt"
        OzetCheckpointIO().save_checkpoint(checkpoint, folder / name)
    return run


def damage(file: Path) -> Path:
    """Flips one bit of the weights."""
    content = bytearray(file.read_bytes())
    content[content.index(torch.tensor([1.0, 2.0]).numpy().tobytes())] ^= 1
    file.write_bytes(content)
    return file


def cut(file: Path) -> Path:
    """Leaves the first 500 bytes."""
    file.write_bytes(file.read_bytes()[:500])
    return file
