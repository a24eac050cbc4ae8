"""The GPU made of Python refuses what a GPU refuses, and counts what costs time on one."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.device import device as devices
from tests.device.conftest import Run

pytestmark = pytest.mark.xdist_group("device")

Call = Callable[[torch.device, Tensor], Any]


def call_on_device(name: str) -> tuple[devices.Counts, str]:
    """Return the counts of a call of `CALLS`, and its error."""
    with devices.on_device() as device:
        x = torch.arange(6.0, device=device).view(2, 3)
        with devices.counted() as counts:
            try:
                CALLS[name](device, x)
            except RuntimeError as error:
                return counts, str(error)
    return counts, ""


CALLS: dict[str, Call] = {
    # refused
    "a tensor of the host": lambda device, x: x + torch.zeros(3),
    "a tensor of the host at an index": lambda device, x: torch.zeros(9)[x.long()],
    "the host's generator": lambda device, x: torch.rand(
        3, device=device, generator=torch.Generator()
    ),
    "its generator on the host": lambda device, x: torch.rand(3, generator=torch.Generator(device)),
    # waits
    "a number": lambda device, x: float(x.sum()),
    "a truth value": lambda device, x: bool((x > 0).all()),
    "a comparison": lambda device, x: torch.allclose(x, x),
    "to the host": lambda device, x: x.cpu(),
    "into a tensor of the host": lambda device, x: torch.zeros(2, 3).copy_(x),
    "a mask as index": lambda device, x: x[x > 1],
    # copies
    "to the device": lambda device, x: torch.zeros(3).to(device),
    "into a tensor of the device": lambda device, x: x.copy_(torch.zeros(2, 3)),
    "a list": lambda device, x: torch.tensor([1.0], device=device),
    "an index of the host": lambda device, x: x[torch.tensor([1])],
    "pinned, but waited for": lambda device, x: torch.zeros(3).pin_memory().to(device),
    "pinned": lambda device, x: torch.zeros(3).pin_memory().to(device, non_blocking=True),
    # neither
    "a number of the host": lambda device, x: x + torch.tensor(1.0) * 2,
    "a value at a mask": lambda device, x: x.__setitem__(x > 1, 0.0),
    "noise": lambda device, x: torch.rand(3, device=device, generator=torch.Generator(device)),
    "views": lambda device, x: x.t().flatten(0).unsqueeze(0).detach(),
}

COUNTED = {
    **dict.fromkeys(("a number", "a truth value", "a comparison", "to the host"), "waits"),
    **dict.fromkeys(("into a tensor of the host", "a mask as index"), "waits"),
    **dict.fromkeys(("to the device", "into a tensor of the device", "a list"), "copies"),
    **dict.fromkeys(("an index of the host", "pinned, but waited for"), "copies"),
    "pinned": "pinned",
}
REFUSED = (
    *("a tensor of the host", "a tensor of the host at an index"),
    *("the host's generator", "its generator on the host"),
)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_refused_or_counted(name: str, run: Run) -> None:
    counts, error = run(call_on_device, name)
    assert bool(error) == (name in REFUSED), error
    kinds = ("waits", "copies", "pinned")
    counted = Counter({kind: getattr(counts, kind).total() for kind in kinds})
    assert +counted == Counter({COUNTED[name]: 1} if name in COUNTED else {})


def change_in_place() -> list[Any]:
    with devices.on_device() as device:
        x = torch.zeros(3, device=device)
        row = x[1:]
        same = row.add_(1) is row
        leaf = torch.ones(2, device=device, requires_grad=True)
        (leaf.square().sum() * 3).backward()
        assert leaf.grad is not None
        values = [(tensor.device.type, tensor.cpu().tolist()) for tensor in (x, leaf.grad)]
        return [same, *values]


def test_tensors_are_changed_in_place_and_have_gradients(run: Run) -> None:
    device_type = devices.DEVICE
    assert run(change_in_place) == [True, (device_type, [0.0, 1.0, 1.0]), (device_type, [6.0, 6.0])]
