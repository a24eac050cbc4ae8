"""The optimizers of recipes: PyTorch's, without what a step here has no use for."""

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
        # A stack's is one vector already.
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
    _keep_steps_here(optimizer)
    _require_fitting(optimizer)


def _keep_steps_here(optimizer: torch.optim.Optimizer) -> None:
    """Move counts of steps to the CPU, where an optimizer that is not fused begins them.

    A checkpoint is loaded to the device, and each step would wait for it once a parameter.
    """
    if not any(group.get("fused") for group in optimizer.param_groups):
        for state in optimizer.state.values():
            if "step" in state:
                state["step"] = state["step"].cpu()


def _require_fitting(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError for moments of another shape: a fused step would write beyond them."""
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            shape = torch.Size() if name == "step" else parameter.shape
            if not isinstance(value, Tensor) or value.shape != shape:
                raise ValueError(f"a checkpoint's {name} does not fit its parameter")


def _without_compiler(kind: type[_Kind]) -> type[_Kind]:
    """Rid the class of what its methods do for compiled steps.

    The first call of one imports PyTorch's compiler, which takes as long as PyTorch itself.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad"):
        setattr(kind, name, torch.no_grad()(inspect.unwrap(getattr(kind, name))))
    return kind


@_without_compiler
class Adam(torch.optim.Adam):
    """PyTorch's."""


@_without_compiler
class _PlainAdamax(torch.optim.Adamax):
    """PyTorch's."""


class _Vector:
    """Parameters that have made as many steps, as one vector with an Adamax of its own.

    Their state in ``states`` becomes views of the vector's.
    """

    def __init__(self, parameters: list[Tensor], states: dict[Tensor, Any]) -> None:
        self.parameters = parameters
        self._lengths = [p.numel() for p in parameters]
        whole = parameters[0].new_empty(sum(self._lengths), requires_grad=True)
        whole.grad = torch.empty_like(whole)
        self._values, self._gradients = self._pieces(whole.detach()), self._pieces(whole.grad)
        self._optimizer = _PlainAdamax([whole], foreach=True)
        moments = {kind: torch.zeros_like(whole) for kind in ("exp_avg", "exp_inf")}
        pieces = {kind: self._pieces(moment) for kind, moment in moments.items()}
        step = states[parameters[0]].get("step", torch.tensor(0.0)).clone()
        for index, parameter in enumerate(parameters):
            state = states[parameter]
            for kind, own in pieces.items():
                if kind in state:
                    own[index].copy_(state[kind])
                state[kind] = own[index]
            state["step"] = step
        self._optimizer.state[whole] = {"step": step, **moments}

    def _pieces(self, whole: Tensor) -> list[Tensor]:
        parts = whole.split_with_sizes(self._lengths)
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    def step(self, group: dict[str, Any]) -> None:
        """Make a step by the settings of a group of parameters."""
        torch._foreach_copy_(self._values, self.parameters)
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        torch._foreach_copy_(self._gradients, gradients)
        self._optimizer.param_groups[0] |= {k: v for k, v in group.items() if k != "params"}
        self._optimizer.step()
        torch._foreach_copy_(self.parameters, self._values)


class Adamax(_PlainAdamax):
    """Adamax with PyTorch's bits, computed for all parameters as for one vector.

    A step is seven operations, and most parameters are so small that one costs little but its call.
    The state is PyTorch's own.
    """

    def __init__(self, parameters: Sequence[Tensor], **settings: Any) -> None:
        super().__init__(parameters, **settings)
        self._vectors: list[_Vector] = []
        self._gathered: dict[Tensor, Tensor] = {}
        """The first moment of each parameter in a vector; another in its place was set since."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step of the parameters that have a gradient. Raises TypeError for a closure."""
        if closure is not None:
            raise TypeError("gradients are computed before a step: it calls no closure")
        (group,) = self.param_groups
        moments = {p: self.state[p].get("exp_avg") for p in group["params"] if p.grad is not None}
        gathered = self._gathered
        if moments.keys() != gathered.keys() or any(
            gathered[p] is not m for p, m in moments.items()
        ):
            self._gather(list(moments))
        for vector in self._vectors:
            vector.step(group)

    def _gather(self, trained: Sequence[Tensor]) -> None:
        alike: dict[Any, list[Tensor]] = {}
        for p in trained:
            count = float(self.state[p].get("step", 0.0))
            alike.setdefault((count, p.dtype, p.device), []).append(p)
        self._vectors = [_Vector(parameters, self.state) for parameters in alike.values()]
        self._gathered = {p: self.state[p]["exp_avg"] for p in trained}
