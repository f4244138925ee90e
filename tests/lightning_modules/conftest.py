from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from trained_runs import trained_run  # noqa: F401  (a fixture)

from lightning_modules.adaptation import Adaptation, Lora, Quantization, adapt, load_base
from lightning_modules.initialization import initialize

CPU = torch.device("cpu")
# Threads cost such small models more than they save: up to 20 times the time when the cores are shared.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_base(random_mt5: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("tiny-base"))
    initialize(str(random_mt5), folder)
    return folder


@pytest.fixture
def loaded(tiny_base: str) -> Callable[..., Any]:
    def load(adaptation: Adaptation = "full", dtype: torch.dtype = torch.float32) -> Any:
        return load_base(tiny_base, None, adaptation, Quantization(), dtype, CPU)

    return load


@pytest.fixture
def adapted(loaded: Callable[..., Any]) -> Callable[..., Any]:
    def build(adaptation: Adaptation, lora: Lora = Lora(rank=4), dtype: torch.dtype = torch.float32) -> Any:
        return adapt(loaded(adaptation, dtype), adaptation, lora)

    return build


@pytest.fixture
def gradients() -> Callable[[nn.Module], dict[str, torch.Tensor]]:
    """Gradients of the loss of a fixed batch under fixed dropout, after zeroing earlier ones."""

    def compute(model: nn.Module) -> dict[str, torch.Tensor]:
        model.zero_grad()
        torch.manual_seed(0)
        model(input_ids=torch.arange(300, 320).view(2, 10), labels=torch.arange(400, 412).view(2, 6)).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    return compute
