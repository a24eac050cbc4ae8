"""The optimizers of recipes: PyTorch's, without the overhead that training here does not need."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from lcma.sweeps.recipe import Optimization

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


def make_optimizer(trained: Sequence[Tensor], optimization: Optimization) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of parameters."""
    rate, betas = optimization.learning_rate, optimization.betas
    if optimization.optimizer == "adamax":
        # The parameters of a stack are one vector already.
        kind = _PlainAdamax if len(trained) == 1 else Adamax
        return kind(trained, lr=rate, betas=betas, foreach=True)
    return Adam(trained, lr=rate, betas=betas, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Set what the optimizer's ``state_dict`` returned. Raises ValueError if it does not fit."""
    optimizer.load_state_dict(state)
    fused = any(group.get("fused") for group in optimizer.param_groups)
    for parameter, moments in optimizer.state.items():
        if "step" in moments and not fused:
            # It was loaded to the device, for which a step that is not fused would wait.
            moments["step"] = moments["step"].cpu()
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
class _PlainAdamax(torch.optim.Adamax):
    """PyTorch's."""


class _ParameterVector:
    """Parameters with equal numbers of steps as one vector, which has an Adamax of its own.

    Their moments in ``states`` become views of the vector's moments.
    """

    def __init__(self, parameters: list[Tensor], states: dict[Tensor, Any]) -> None:
        self.parameters = parameters
        self._lengths = [p.numel() for p in parameters]
        whole = parameters[0].new_empty(sum(self._lengths), requires_grad=True)
        whole.grad = torch.empty_like(whole)
        self._values = self._view_parts(whole.detach())
        self._gradients = self._view_parts(whole.grad)
        self._optimizer = _PlainAdamax([whole], foreach=True)
        moments = {name: torch.zeros_like(whole) for name in ("exp_avg", "exp_inf")}
        views = {name: self._view_parts(moment) for name, moment in moments.items()}
        step = states[parameters[0]].get("step", torch.tensor(0.0)).clone()
        for index, parameter in enumerate(parameters):
            state = states[parameter]
            for name, parts in views.items():
                if name in state:
                    parts[index].copy_(state[name])
                state[name] = parts[index]
            state["step"] = step
        self._optimizer.state[whole] = {"step": step, **moments}

    def _view_parts(self, whole: Tensor) -> list[Tensor]:
        parts = whole.split_with_sizes(self._lengths)
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    def step(self, group: dict[str, Any]) -> None:
        """Make a step with the settings of a group of parameters."""
        torch._foreach_copy_(self._values, self.parameters)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_copy_(self._gradients, gradients)
        self._optimizer.param_groups[0] |= {k: v for k, v in group.items() if k != "params"}
        self._optimizer.step()
        torch._foreach_copy_(self.parameters, self._values)


class Adamax(_PlainAdamax):
    """Adamax with PyTorch's bits and state, which joins the parameters into vectors.

    A step is seven operations, and for most parameters the call costs more than the computation.
    """

    def __init__(self, parameters: Sequence[Tensor], **settings: Any) -> None:
        super().__init__(parameters, **settings)
        self._vectors: list[_ParameterVector] = []
        # The first moment of each parameter in a vector. A parameter whose first moment is another
        # tensor has got a new state since, and the vectors are formed again.
        self._joined: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step of the parameters that have a gradient. Raises TypeError for a closure."""
        if closure is not None:
            raise TypeError("gradients are computed before a step: it calls no closure")
        (group,) = self.param_groups
        moments = {p: self.state[p].get("exp_avg") for p in group["params"] if p.grad is not None}
        joined = self._joined
        if moments.keys() != joined.keys() or any(joined[p] is not m for p, m in moments.items()):
            self._form_vectors(list(moments))
        for vector in self._vectors:
            vector.step(group)

    def _form_vectors(self, trained: Sequence[Tensor]) -> None:
        groups: dict[Any, list[Tensor]] = {}
        for p in trained:
            count = float(self.state[p].get("step", 0.0))
            groups.setdefault((count, p.dtype, p.device), []).append(p)
        self._vectors = [_ParameterVector(parameters, self.state) for parameters in groups.values()]
        self._joined = {p: self.state[p]["exp_avg"] for p in trained}
