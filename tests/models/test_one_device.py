"""A flow on a device keeps all of its tensors there: shown by a simulated one, without data.

PyTorch refuses to mix the device with the CPU as it would on a GPU. The device is registered for a
whole process and not unregistered, so one of its own makes the calls: a copy of this one, which has
imported PyTorch.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import pytest

from lcma.sweeps import catalog

FLOWS = tuple(catalog.flows())
FACTORIZATIONS = ("channel", "none")
SHORT: dict[str, dict[str, int]] = {
    "realnvp": {"checkerboard_couplings": 1, "channel_couplings": 1, "last_couplings": 1},
    "glow": {"steps": 1},
    "iresnet": {"blocks": 1, "eval_terms": 2},
    "resflow": {"blocks": 1, "eval_terms": 2},
}
"""A layer of each kind, since each kernel costs without data as much as with it."""
CALLS = ("forward", "forward at splits", "encode", "decode", "sample", "contributions")


@pytest.fixture(scope="module")
def failures() -> dict[str, str | None]:
    """What went wrong in each call; None where nothing did."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as copies:
        return copies.submit(make_calls).result()


def test_the_simulated_device_refuses_tensors_of_the_cpu(
    failures: dict[str, str | None],
) -> None:
    assert "two devices" in (failures["a tensor of the CPU"] or "")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("factorization", FACTORIZATIONS)
@pytest.mark.parametrize("flow", FLOWS)
def test_all_tensors_are_on_the_device_of_the_flow(
    flow: str, factorization: str, call: str, failures: dict[str, str | None]
) -> None:
    assert failures[f"{flow} {factorization} {call}"] is None


def make_calls() -> dict[str, str | None]:
    """Make every call on the simulated device; return what went wrong."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    from lcma import models

    _setup_privateuseone_for_python_backend("simulated")
    device = torch.device("simulated:0")

    class Answers(TorchDispatchMode):
        """Answer what the host asks of tensors without data, so that every loop ends at once."""

        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if function is torch.ops.aten._local_scalar_dense.default:
                return {torch.bool: True, torch.int64: 1}.get(args[0].dtype, 0.0)
            if function is torch.ops.aten.equal.default:
                return True
            return function(*args, **(kwargs or {}))

    def tensors(value: Any) -> Iterator[torch.Tensor]:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            for each in value:
                yield from tensors(each)
        elif hasattr(value, "__dataclass_fields__"):
            yield from tensors([getattr(value, name) for name in value.__dataclass_fields__])

    def failure(call: Any) -> str | None:
        try:
            places = {str(tensor.device) for tensor in tensors(call())}
        except Exception as error:  # noqa: BLE001 - whatever it is belongs in the report
            return f"{type(error).__name__}: {error}"
        return None if places <= {str(device)} else f"results are on {sorted(places)}"

    flows = {
        (name, factorization): models.build(
            catalog.recipe(name, "photos8", "tiny", {"model": {"architecture": SHORT[name]}}).model,
            factorization,
            seed=0,
        ).eval()
        for name in FLOWS
        for factorization in FACTORIZATIONS
    }
    shapes = {key: flow.latent_shapes for key, flow in flows.items()}
    found = {}
    with torch.no_grad(), FakeTensorMode(), Answers():
        x = torch.zeros(4, 3, 8, 8, dtype=torch.uint8, device=device)
        found["a tensor of the CPU"] = failure(lambda: x + torch.zeros(8))
        for (name, factorization), flow in flows.items():
            latents = [
                torch.zeros(4, *shape, device=device) for shape in shapes[name, factorization]
            ]
            flow._apply(lambda own: torch.empty(own.shape, dtype=own.dtype, device=device))
            calls: dict[str, Callable[[], Any]] = {
                "forward": partial(flow, x),
                "forward at splits": partial(flow, x, None, []),
                "encode": partial(flow.encode, x),
                "decode": partial(flow.decode, latents),
                "sample": partial(flow.sample, 3),
                "contributions": partial(flow.contributions, x),
            }
            for call in CALLS:
                found[f"{name} {factorization} {call}"] = failure(calls[call])
    return found
