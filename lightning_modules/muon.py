"""Muon for the hidden matrices and AdamW for everything else, as one optimizer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

# Of the polynomial of `orthogonalize`, chosen by Jordan et al. for few iterations; torch.optim.Muon has the same.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class MuonWithAdamW(Optimizer):
    """Muon and PyTorch's AdamW over two groups of parameters, with one state and one schedule.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/, with Nesterov momentum) orthogonalises the
    momentum of matrices that map hidden states to hidden states. Embeddings, head, norms and position biases go to
    AdamW. The steps are those of `torch.optim.Muon`, which launches some 25 kernels for each matrix, and computes in
    bf16 also on CPUs that have none; here all matrices of one shape are one batch, and a CPU computes in fp32.

    A step that is not finite is left out on the device, as by PyTorch's fused optimizers: whoever sets `found_inf` to
    a scalar above 0 before `step` finds weights and state unchanged (`NanMonitor` does).

    Args:
        params: Parameters with their names, as `model.named_parameters()` has them. Without names only vectors are
            taken, since a matrix could be an embedding.
        lr: Peak learning rate of AdamW; above 0.
        muon_lr: Peak learning rate of Muon, times the square root of height by width where that is above 1; above 0.
        betas: Of AdamW.
        momentum: Of Muon, in [0, 1).
        weight_decay: Of both.

    Raises:
        ValueError: If a matrix has no name, or a number is out of range.
    """

    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        muon_lr: float = 4e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        if not muon_lr > 0:
            raise ValueError(f"MuonWithAdamW.muon_lr {muon_lr} must be above 0.")
        if not 0 <= momentum < 1:
            raise ValueError(f"MuonWithAdamW.momentum {momentum} must be in [0, 1).")
        matrices, others = _split(params)
        self._adamw = AdamW(others, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
        muon = {"params": matrices, "lr": muon_lr, "momentum": momentum, "weight_decay": weight_decay}
        groups = [*([muon] if matrices else []), *self._adamw.param_groups]
        self.group_defaults = [
            {name: value for name, value in group.items() if name not in ("params", "param_names")} for group in groups
        ]
        super().__init__(groups, {})
        self._share()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over a loaded state."""
        super().__setstate__(state)
        self._share()

    def _share(self) -> None:
        """Lets AdamW work on the last group and on the state of this optimizer."""
        self._adamw.param_groups, self._adamw.state = self.param_groups[-1:], self.state

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Takes one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        found_inf: torch.Tensor | None = getattr(self, "found_inf", None)
        self._adamw.grad_scale, self._adamw.found_inf = None, found_inf  # type: ignore[attr-defined]
        self._adamw.step()
        for group in self.param_groups[:-1]:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_matrices(parameters, group, None if found_inf is None else found_inf > 0)
        return loss

    def _step_matrices(
        self, parameters: Sequence[nn.Parameter], group: dict[str, Any], bad: torch.Tensor | None
    ) -> None:
        """One step of Muon for matrices of one shape; none if `bad`, which the host does not wait to know."""
        momenta = [self._momentum(parameter) for parameter in parameters]
        gradients, before = torch.stack([parameter.grad for parameter in parameters]), torch.stack(momenta)  # type: ignore[misc]
        after = before.lerp(gradients, 1 - group["momentum"])
        height, width = gradients.shape[1:]
        change = orthogonalize(gradients.lerp(after, group["momentum"])) * max(1, height / width) ** 0.5
        if group["weight_decay"]:
            change = change + group["weight_decay"] * torch.stack(list(parameters))
        if bad is not None:
            after, change = torch.where(bad, before, after), torch.where(bad, 0.0, change)
        torch._foreach_copy_(momenta, list(after.unbind()))
        torch._foreach_add_(list(parameters), list(change.unbind()), alpha=-group["lr"])

    def _momentum(self, parameter: nn.Parameter) -> torch.Tensor:
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """Replaces the singular values of matrices by numbers near 1, by Newton-Schulz iterations (Jordan et al. 2024).

    Args:
        matrices: (N, height, width) fp32. On a GPU the products are bf16.

    Returns:
        The same shape and dtype; a matrix of zeros stays one.
    """
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    first, third, fifth = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first)
    return (x.mT if tall else x).to(matrices.dtype)


def _split(params: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Hidden matrices, and the rest."""
    matrices: list[Any] = []
    others: list[Any] = []
    for one in params:
        name, parameter = one if isinstance(one, tuple) else (None, one)
        if name is None and parameter.dim() > 1:
            raise ValueError("MuonWithAdamW needs the names of matrices: pass model.named_parameters().")
        (matrices if name is not None and _is_hidden_matrix(name, parameter) else others).append(one)
    return matrices, others


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    # A table of position biases is looked up, as embeddings are.
    return parameter.dim() == 2 and ".block." in name and "relative_attention_bias" not in name
