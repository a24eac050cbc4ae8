"""Faster coupling nets (bfloat16, compiled) for the time of a training step."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lcma.models.coupling import CouplingNet
from lcma.models.glow import GlowNet


class CouplingNets(AbstractContextManager["CouplingNets"]):
    """A context in which the coupling nets of a flow run in another way than elsewhere.

    With ``autocast`` their convolutions are in bfloat16; what a net returns is float32 again
    before any scale or log-determinant is made of it. ``compiler`` is a backend of
    `torch.compile`, None for no compilation. Neither touches weights, buffers or the other
    layers, so that an evaluation outside of the block is the exact function.
    """

    def __init__(
        self,
        flow: nn.Module,
        *,
        autocast: Literal["none", "bfloat16"] = "none",
        compiler: str | Callable[..., Any] | None = None,
    ) -> None:
        self._ways: list[tuple[nn.Module, Callable[..., Tensor]]] = []
        if autocast == "none" and compiler is None:
            return
        nets = [m for m in flow.modules() if isinstance(m, CouplingNet | GlowNet)]
        if compiler is not None:
            _allow_graphs(len(nets))
            # The compiler hears of it by this function alone.
            torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled())
        for net in nets:
            run: Callable[..., Tensor] = net.forward
            if compiler is not None:
                run = torch.compile(run, backend=compiler, dynamic=False)
            self._ways.append((net, run if autocast == "none" else _lowered(run)))

    def __enter__(self) -> "CouplingNets":
        for net, way in self._ways:
            net.__dict__["forward"] = way
        return self

    def __exit__(self, *_: object) -> None:
        for net, _way in self._ways:
            del net.__dict__["forward"]


def _allow_graphs(count: int) -> None:
    # Beyond its limit of 8 graphs of one class PyTorch silently runs the plain code.
    import torch._dynamo.config as limits

    limits.recompile_limit = max(limits.recompile_limit, count + 1)
    limits.accumulated_recompile_limit = max(limits.accumulated_recompile_limit, count + 1)


def _lowered(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def forward(x: Tensor, *further: Any) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            out = run(x, *further)
        return out.to(x.dtype)

    return forward
