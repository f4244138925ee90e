"""Keeps gradients short, and shows how often that was needed."""

from __future__ import annotations

from typing import Any, Literal

import lightning as L
import torch
from torch import nn
from torch.nn.utils import clip_grad_value_, get_total_norm


class GradientClipping(L.Callback):
    """Clips the gradients of each optimizer step, and logs `train/gradient_norm` and `train/clipped_share`.

    The norm is that before clipping, over all parameters; the share is that of the steps since the last record. Neither
    makes a GPU wait. The norm is float64, on the dashboard too, so that it is finite wherever all values are. Gradients
    that hold NaN or infinity are left as they are, for NanMonitor to find, except that mode `value` cuts infinities
    down as `torch.nn.utils.clip_grad_value_` does. Their norms do not count for the percentile.

    Args:
        mode: `norm` shortens all gradients together (Pascanu et al. 2013, section 3.2), `value` cuts each of their
            values, `percentile` shortens to a running percentile of the norms seen (AutoClip, Seetharaman et al. 2020,
            arXiv:2007.14469, section 2).
        threshold: The greatest norm, the greatest magnitude of a value, or the percentile, in (1, 100]; AutoClip's
            is 10. Above 0.
        window: `percentile` looks at so many of the latest norms, that of the current step included; at least 1.
        warmup: `percentile` does not clip before it has seen so many norms, in [0, window).

    Raises:
        ValueError: If a number is out of range, or the trainer clips as well.
    """

    def __init__(
        self,
        mode: Literal["norm", "value", "percentile"] = "norm",
        threshold: float = 1.0,
        window: int = 500,
        warmup: int = 10,
    ) -> None:
        if not 0 < threshold < float("inf"):
            raise ValueError(
                f"GradientClipping.threshold {threshold} must be above 0 and finite; usual is a norm of 1."
            )
        if mode == "percentile" and not 1 < threshold <= 100:
            raise ValueError(
                f"GradientClipping.threshold {threshold} is a percentile here: it must be above 1 and at most 100, "
                "such as 10."
            )
        if not 0 <= warmup < window:
            raise ValueError(f"GradientClipping.warmup {warmup} must be at least 0 and below window {window}.")
        self.mode, self.threshold = mode, threshold
        self.window, self.warmup = window, warmup
        self._norms = torch.empty(0)  # the latest of them, oldest first
        self._clipped = torch.zeros(())  # steps, since the last record
        self._steps = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuses to clip twice."""
        if stage == "fit" and trainer.gradient_clip_val:
            raise ValueError(
                f"trainer.gradient_clip_val {trainer.gradient_clip_val} and the callback GradientClipping would both "
                "clip. Set trainer.gradient_clip_val to null, or leave the callback out."
            )

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Brings its state to the device."""
        self._norms, self._clipped = self._norms.to(pl_module.device), self._clipped.to(pl_module.device)

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        """Clips and logs; a step without gradients, such as one that is skipped, has norm NaN."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not parameters:
            # Else Lightning would log the norm of the step before again.
            pl_module.log("train/gradient_norm", torch.full((), torch.nan, device=pl_module.device), batch_size=1)
            return
        norm = _norm([parameter.grad for parameter in parameters])  # type: ignore[misc]
        self._clipped += self._clip(parameters, norm)
        self._steps += 1
        pl_module.log("train/gradient_norm", norm, batch_size=1)
        if (trainer.global_step + 1) % trainer.log_every_n_steps == 0:
            pl_module.log("train/clipped_share", self._clipped / self._steps, batch_size=1)
            self._clipped, self._steps = torch.zeros_like(self._clipped), 0

    def _clip(self, parameters: list[nn.Parameter], norm: torch.Tensor) -> torch.Tensor:
        """Clips, and says on the device whether that changed anything."""
        gradients: list[torch.Tensor] = [parameter.grad for parameter in parameters]  # type: ignore[misc]
        if self.mode == "value":
            greatest = get_total_norm(gradients, float("inf"))
            clip_grad_value_(parameters, self.threshold)
            return greatest > self.threshold
        limit = self.threshold if self.mode == "norm" else self._percentile(norm)
        clipped = norm.isfinite() & (norm > limit) & (limit > 0)  # a limit of 0 would wipe out every gradient
        _multiply(gradients, torch.where(clipped, limit / norm, 1.0))
        return clipped

    def _percentile(self, norm: torch.Tensor) -> torch.Tensor:
        """The percentile of the norms seen, this one included; infinity while these are few."""
        self._norms = torch.cat([self._norms, torch.where(norm.isfinite(), norm, torch.nan).reshape(1)])[-self.window :]
        if len(self._norms) <= self.warmup:
            return torch.full_like(norm, torch.inf)
        return torch.nanquantile(self._norms, self.threshold / 100)

    def state_dict(self) -> dict[str, Any]:
        """The norms seen, and what has been counted since the last record."""
        return {"norms": self._norms.cpu(), "clipped": self._clipped.cpu(), "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes both over."""
        self._norms, self._clipped, self._steps = (state_dict[key] for key in ("norms", "clipped", "steps"))


def _norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """The Euclidean norm of all together, in float64: in float32, squares of values above 1.8e19 are infinite."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, 2, dtype=torch.float64)))


def _multiply(gradients: list[torch.Tensor], factor: torch.Tensor) -> None:
    """Multiplies all by a number on the device."""
    for dtype in {gradient.dtype for gradient in gradients}:
        # By a factor of another dtype, PyTorch would multiply them one by one.
        torch._foreach_mul_([gradient for gradient in gradients if gradient.dtype == dtype], factor.to(dtype))
