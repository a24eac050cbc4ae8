"""Faster coupling nets during training: in bfloat16 or compiled."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lcma.models.coupling import CouplingNet
from lcma.models.glow import GlowNet


class CouplingNets(AbstractContextManager["CouplingNets"]):
    """A context in which the coupling nets of a flow run faster.

    Weights, buffers and all other layers are left alone, so an evaluation outside of the context
    computes the exact function.

    Args:
        flow: The flow whose coupling nets are replaced.
        autocast: `bfloat16` to compute the nets' convolutions in it. Their outputs are converted
            back to the dtype of the inputs before a scale or log-determinant is computed.
        compiler: A backend of `torch.compile`; None for no compilation.
    """

    def __init__(
        self,
        flow: nn.Module,
        *,
        autocast: Literal["none", "bfloat16"] = "none",
        compiler: str | Callable[..., Any] | None = None,
    ) -> None:
        self._forwards: list[tuple[nn.Module, Callable[..., Tensor]]] = []
        if autocast == "none" and compiler is None:
            return
        nets = [m for m in flow.modules() if isinstance(m, CouplingNet | GlowNet)]
        if compiler is not None:
            _allow_graphs(len(nets))
            # PyTorch passes this mode on to the compiler only when it is set.
            torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
        for net in nets:
            run: Callable[..., Tensor] = net.forward
            if compiler is not None:
                run = torch.compile(run, backend=compiler, dynamic=False)
            self._forwards.append((net, run if autocast == "none" else _autocast(run)))

    def __enter__(self) -> "CouplingNets":
        for net, forward in self._forwards:
            net.__dict__["forward"] = forward  # hides the method of the class
        return self

    def __exit__(self, *exception: object) -> None:
        for net, _ in self._forwards:
            del net.__dict__["forward"]


def _allow_graphs(count: int) -> None:
    # Beyond its limit of 8 graphs per class, PyTorch silently runs the uncompiled code.
    import torch._dynamo.config as limits

    limits.recompile_limit = max(limits.recompile_limit, count + 1)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, count + 1)


def _autocast(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def forward(x: Tensor, *mask: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            out = run(x, *mask)
        return out.to(x.dtype)

    return forward
