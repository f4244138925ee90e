"""How much of a GPU's memory a process may use."""

from __future__ import annotations

import torch


def available_bytes(device: torch.device) -> int | None:
    """Memory of a GPU that this process may use, what it holds already included; None for another device."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    limit = torch.cuda.get_per_process_memory_fraction(device) * total
    return int(min(free + torch.cuda.memory_reserved(device), limit))
