"""The optimizers of recipes: PyTorch's, without the overhead that training here does not need."""

import inspect
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from lcma.sweeps.recipe import Optimization

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


def make_optimizer(trained: Sequence[Tensor], optimization: Optimization) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of parameters."""
    rate, betas = optimization.learning_rate, optimization.betas
    if optimization.optimizer == "adamax":
        return Adamax(trained, lr=rate, betas=betas, foreach=True)
    return Adam(trained, lr=rate, betas=betas, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Set what the optimizer's ``state_dict`` returned. Raises ValueError if it does not fit."""
    optimizer.load_state_dict(state)
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            shape = torch.Size() if name == "step" else parameter.shape
            if not isinstance(value, Tensor) or value.shape != shape:
                # A fused step would write beyond moments that are too small.
                raise ValueError(f"a checkpoint's {name} does not fit its parameter")


def _unwrap_methods(kind: type[_Kind]) -> type[_Kind]:
    """Remove the compiler's wrappers from the methods of an optimizer.

    Their first call imports PyTorch's compiler, which takes as long as importing PyTorch.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad"):
        setattr(kind, name, torch.no_grad()(inspect.unwrap(getattr(kind, name))))
    return kind


@_unwrap_methods
class Adam(torch.optim.Adam):
    """PyTorch's."""


@_unwrap_methods
class Adamax(torch.optim.Adamax):
    """PyTorch's."""
