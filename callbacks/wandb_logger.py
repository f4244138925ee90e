"""Weights & Biases without surprises: never a prompt, never a lost run."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.rank_zero import rank_zero_warn

# How often records are written to the offline file. Nothing asks W&B to write them at once.
FLUSH_SECONDS = 0.1


class ResumableWandbLogger(WandbLogger):
    """Logs online when a key is known and offline otherwise; a resumed run goes on as the same W&B run.

    The run's id is written to `wandb_run_id.txt` in the run's folder before anything is logged, so that even a killed
    run is found again. An offline run that was resumed has two offline folders with one id: `wandb sync --append` joins
    them.

    Args:
        project: Name of the W&B project.
        name: Name of the run on the dashboard; null takes the last two folders of `save_dir`.
        save_dir: The run's folder; `train.py` fills it in.
        offline: True keeps everything on disk; null does so when no key is found in WANDB_API_KEY or ~/.netrc.
        group: Groups runs on the dashboard.
        tags: Marks the run on the dashboard.
    """

    def __init__(
        self,
        project: str = "ozet",
        name: str | None = None,
        save_dir: str = ".",
        offline: bool | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
    ) -> None:
        if offline is None:
            offline = not has_key()
        super().__init__(
            project=project,
            name=name or "-".join(Path(save_dir).parts[-2:]),
            save_dir=save_dir,
            offline=offline,
            id=_run_id(Path(save_dir)),
            resume=None if offline else "allow",
            # Said outright, since W&B has already read the environment when Lightning sets it.
            mode="offline" if offline else "online",
            # W&B's own 15 seconds are what a killed run would lose.
            settings=wandb.Settings(x_transaction_log_flush_interval=FLUSH_SECONDS),
            group=group,
            tags=tags,
        )

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Logs settings; a resumed run may change them."""
        self.experiment.config.update(params if isinstance(params, dict) else vars(params), allow_val_change=True)

    def release(self, error: Exception) -> None:
        """Forget a service process that has died: W&B would try to end it at exit, and print a traceback."""
        if isinstance(error, ConnectionError):
            with suppress(ConnectionError):
                wandb.teardown()


def has_key() -> bool:
    """Whether W&B could log in without asking; a key that is no key counts as none, with a warning."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return False
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.errors.Error as error:
        rank_zero_warn(f"W&B stays offline: {error}")
        return False


def _run_id(folder: Path) -> str | None:
    if rank_zero_only.rank != 0:
        return None
    file = folder / "wandb_run_id.txt"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(uuid.uuid4().hex[:8] + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
