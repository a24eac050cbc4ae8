"""The check of plug-in flows, applied to the flows of lcma."""

import pytest
import torch

from lcma.models import check_flow
from lcma.sweeps import catalog
from lcma.sweeps.architectures import REGISTERED

FLOWS = ("realnvp", "glow", "iresnet", "resflow")


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("flow", FLOWS)
def test_the_flows_of_lcma_pass(flow: str, seed: int) -> None:
    model = catalog.recipe(flow, "photos8", "tiny").model
    assert model.size == 8
    note = "the log-determinant of ResidualBlock is drawn, so it was not checked"
    expected = [f"the flow {flow}: {note}"] if flow in FLOWS[2:] else []
    for factorization in (REGISTERED[flow].conventional, "random", "none"):
        assert check_flow(model, factorization, seed=seed) == expected


def test_a_check_leaves_the_global_generator_and_dtype() -> None:
    model = catalog.recipe("realnvp", "digits", "tiny").model
    before = torch.get_rng_state()
    check_flow(model, "channel")
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
