"""A module of two layers and its batches, trained by Lightning's own trainer in milliseconds."""

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader


class TinyModule(L.LightningModule):
    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fused = fused
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)
        self.dropout = nn.Dropout(0.1)
        self.frozen = nn.Linear(1, 1).requires_grad_(False)

    def forward(self, batch):
        return self.frozen(self.second(self.dropout(self.first(batch["x"]).relu())))

    def training_step(self, batch, batch_idx):
        return (self(batch) * batch["scale"]).square().mean()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1, fused=self.fused)


def batches() -> DataLoader:
    """Twelve batches of very different gradients, in no order; row ids are their numbers."""
    generator = torch.Generator().manual_seed(1)
    rows = [
        {"x": torch.randn(2, 4, generator=generator), "scale": 2.0**index, "ids": [str(index)], "languages": ["tr"]}
        for index in torch.randperm(12, generator=generator).tolist()
    ]
    return DataLoader(rows, batch_size=None)


def fit(
    root, *callbacks, steps: int = 4, accumulate: int = 1, ckpt_path=None, fused: bool = False, **settings
) -> TinyModule:
    module = TinyModule(fused)
    trainer = L.Trainer(
        default_root_dir=root,
        accelerator="cpu",
        max_steps=steps,
        accumulate_grad_batches=accumulate,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"logger": False, "enable_checkpointing": False, "log_every_n_steps": 1, **settings},
    )
    trainer.fit(module, batches(), ckpt_path=ckpt_path)
    return module
