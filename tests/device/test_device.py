"""The GPU made of Python refuses what a GPU refuses, and counts what costs time on one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.device import device as devices
from tests.device.conftest import Run

pytestmark = pytest.mark.xdist_group("device")

Call = Callable[[torch.device, Tensor], Any]


CALLS: dict[str, dict[str, Call]] = {
    "refused": {
        "a tensor of the host": lambda device, x: x + torch.zeros(3),
        "a tensor of the host at an index": lambda device, x: torch.zeros(9)[x.long()],
        "the host's generator": lambda device, x: torch.rand(
            3, device=device, generator=torch.Generator()
        ),
        "its generator on the host": lambda device, x: torch.rand(
            3, generator=torch.Generator(device)
        ),
    },
    "waits": {
        "a number": lambda device, x: float(x.sum()),
        "a truth value": lambda device, x: bool((x > 0).all()),
        "a comparison": lambda device, x: torch.allclose(x, x),
        "to the host": lambda device, x: x.cpu(),
        "into a tensor of the host": lambda device, x: torch.zeros(2, 3).copy_(x),
        "a mask as index": lambda device, x: x[x > 1],
    },
    "copies": {
        "to the device": lambda device, x: torch.zeros(3).to(device),
        "into a tensor of the device": lambda device, x: x.copy_(torch.zeros(2, 3)),
        "a list": lambda device, x: torch.tensor([1.0], device=device),
        "an index of the host": lambda device, x: x[torch.tensor([1])],
        "pinned, but waited for": lambda device, x: torch.zeros(3).pin_memory().to(device),
    },
    "pinned": {
        "pinned": lambda device, x: torch.zeros(3).pin_memory().to(device, non_blocking=True),
    },
    "free": {
        "a number of the host": lambda device, x: x + torch.tensor(1.0) * 2,
        "a value at a mask": lambda device, x: x.__setitem__(x > 1, 0.0),
        "noise": lambda device, x: torch.rand(3, device=device, generator=torch.Generator(device)),
        "views": lambda device, x: x.t().flatten(0).unsqueeze(0).detach(),
    },
}
"""Calls by what becomes of them: they are refused, counted as a kind, or neither."""


def call_all() -> list[tuple[str, str, str, devices.Counts]]:
    """Return kind, name and error of each call of `CALLS`, and its counts."""
    results = []
    with devices.on_device() as device:
        for kind, calls in CALLS.items():
            for name, call in calls.items():
                x, error = torch.arange(6.0, device=device).view(2, 3), ""
                with devices.counted() as counts:
                    try:
                        call(device, x)
                    except devices.DeviceError as raised:
                        error = str(raised)
                results.append((kind, name, error, counts))
    return results


def test_a_call_is_refused_or_counted(run: Run) -> None:
    for kind, name, error, counts in run(call_all):
        assert bool(error) == (kind == "refused"), (name, error)
        for counted in ("waits", "copies", "pinned"):
            assert getattr(counts, counted).total() == (counted == kind), name
