"""How often kernels were compiled and graphs captured: more and more of either makes training slow in silence."""

from __future__ import annotations

from typing import Any

import lightning as L

from callbacks.watcher import Watcher
from lightning_modules.training import TrainingModule


class Compilations(Watcher):
    """Logs `perf/compilations` and `perf/captured_graphs`, both counted from the start of the process.

    They grow with each new shape of a batch and should soon stand still; greater multiples in `data.padding` make fewer
    shapes. Neither is logged where it is not used, such as on a CPU.
    """

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        """Logs when Lightning does."""
        if trainer.global_step % trainer.log_every_n_steps or not isinstance(pl_module, TrainingModule):
            return
        for name, count in pl_module.batch_loss.counts().items():
            pl_module.log(f"perf/{name}", float(count), batch_size=1)
