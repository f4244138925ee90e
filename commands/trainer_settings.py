"""What the trainer may be told: settings that would be wrong without an error are refused."""

from __future__ import annotations

from jsonargparse import Namespace

STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_find_unused_parameters_true")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


def require_supported(trainer: Namespace) -> None:
    """Refuse settings of the trainer with which ozet does not work.

    Raises:
        ValueError: Names the setting, its value, the reason and what to do.
    """
    if trainer.get("overfit_batches"):
        raise ValueError(
            f"trainer.overfit_batches {trainer.overfit_batches:g} is not supported: it takes another sampler than the "
            "data module's. To learn few rows by heart, set `limits: {train: 8}` of a source."
        )
    for name in ("accumulate_grad_batches", "val_check_interval", "check_val_every_n_epoch", "log_every_n_steps"):
        value = trainer.get(name)
        if isinstance(value, int | float) and value <= 0:
            remedy = "; to leave validation out, set trainer.limit_val_batches to 0" if "val" in name else ""
            raise ValueError(f"trainer.{name} is {value:g}; it must be greater than 0{remedy}.")
    accelerator = trainer.get("accelerator")
    if isinstance(accelerator, str) and accelerator not in ACCELERATORS:
        raise ValueError(f"trainer.accelerator {accelerator!r} is not supported; use {', '.join(ACCELERATORS)}.")
    strategy = trainer.get("strategy")
    if isinstance(strategy, str) and strategy not in STRATEGIES:
        raise ValueError(
            f"trainer.strategy {strategy!r} is not supported: checkpoints hold what one device trained. Give auto, or "
            "ddp for several devices."
        )
