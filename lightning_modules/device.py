"""Where a model works."""

from __future__ import annotations

import torch


def usable_device(name: str | None = None) -> torch.device:
    """A device that is there.

    Args:
        name: Such as `cpu` or `cuda:0`; if None, a GPU where there is one, else the CPU.

    Raises:
        ValueError: If this machine has no such device.
    """
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"--device {name!r} cannot be used ({reason}); give cpu, or cuda on a machine that has it."
        ) from error
    return device
