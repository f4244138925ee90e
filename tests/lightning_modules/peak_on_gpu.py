"""The measured and the estimated peak of a training step on this machine's GPU, in MiB."""

import gc
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from datamodules.collate import Padding, SummarizationCollator
from datamodules.longest_batch import longest_batch
from lightning_modules.acceleration import Acceleration, BatchLoss
from lightning_modules.adaptation import Lora, Quantization, adapt, enable_gradient_checkpointing, load_base
from lightning_modules.initialization import initialize
from lightning_modules.memory import estimate
from lightning_modules.memory_settings import attention_kernel, memory_settings

SMALL = {"vocab_size": 250_112, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6}
SMALL |= {"num_layers": 8, "num_decoder_layers": 8}
DEVICE = torch.device("cuda")
STEPS = 3


def peak_and_estimate(
    tiny: Path, base: str, rows: int, compiled: bool, checkpointing: bool, adaptation: str = "qlora"
) -> tuple[float, float]:
    """QLoRA with AdamW on `rows` of 512/128 tokens, of the tiny model or one of mT5-small's sizes."""
    gc.collect()
    before = torch.cuda.memory_allocated()  # of other tests in this process
    with tempfile.TemporaryDirectory() as folder:
        config = json.loads((tiny / "config.json").read_text()) | (SMALL if base == "small" else {})
        (Path(folder) / "config.json").write_text(json.dumps(config))
        initialize(folder, folder)
        model = load_base(folder, None, adaptation, Quantization(), torch.bfloat16, DEVICE)
    if checkpointing:
        enable_gradient_checkpointing(model)
    model = adapt(model, adaptation, Lora()).to(DEVICE)
    chosen = Acceleration(compile=compiled, cuda_graphs=False)
    loss = BatchLoss(model, model.get_output_embeddings().weight, chosen, 0.0)
    collator = SummarizationCollator(0, 1, ["tr"], rows, Padding())
    batch = longest_batch(collator, rows, 512, 128)
    batch = {name: value.to(DEVICE) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    for step in range(STEPS):
        if step == STEPS - 1:  # compiled, and with the optimizer's state
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with torch.autocast("cuda", torch.bfloat16):
            value = loss(batch)[0]
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
    peak = torch.cuda.max_memory_allocated() - before
    settings = memory_settings(model, adaptation, Lora(), compiled=compiled, gradient_checkpointing=checkpointing)
    settings = replace(settings, attention=attention_kernel(settings, DEVICE))
    print(settings.attention, estimate(settings, rows, 512, 128))
    return peak / 2**20, estimate(settings, rows, 512, 128).total / 2**20
