"""Images between two images, in the latents of a flow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lcma.harness import data
from lcma.harness.train.evaluate import residual_blocks
from lcma.harness.train.interpolation import interpolate
from lcma.models import Flow, build
from lcma.models.layers import Center, Dequantize
from lcma.models.priors import StandardNormal
from lcma.sweeps import catalog

SMALLEST: dict[str, dict[str, Any]] = {
    "realnvp": {"width": 4},
    "glow": {"width": 4, "steps": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 1, "fc_width": 4},
}


@pytest.fixture(scope="module")
def photos(photos_root) -> Any:
    """Two test images of different photographs, and a third."""
    images = data.load("photos8", photos_root).part("test").images
    return np.array(images[[0, len(images) // 2, 7]])


@pytest.fixture(scope="module")
def flows(photos: Any) -> dict[str, Flow]:
    flows = {}
    for name, architecture in SMALLEST.items():
        override = {"model": {"architecture": architecture}}
        model = catalog.recipe(name, "photos8", "tiny", override).model
        flow = build(model, "checkerboard-odd", seed=0)
        generator = torch.Generator().manual_seed(0)
        flow.initialize(torch.from_numpy(photos), generator)
        with torch.no_grad():
            for parameter in flow.parameters():
                if parameter.dim() > 1:
                    parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        flows[name] = flow
    return flows


def distance(a: Any, b: Any) -> int:
    """The largest difference of a value."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("name", SMALLEST)
def test_the_ends_are_the_two_images_and_the_inverse_is_reported(flows, photos, name: str) -> None:
    path = interpolate(flows[name], photos[0], photos[1], 5)
    assert path.settled
    if name in ("realnvp", "glow"):
        assert path.iterations is None
    else:
        assert 1 < path.iterations < 200
    images = path.images
    assert images.shape == (5, 3, 8, 8)
    assert images.dtype == np.uint8
    assert distance(images[0], photos[0]) <= 1
    assert distance(images[-1], photos[1]) <= 1
    assert (images[0] == photos[0]).mean() > 0.95
    for inner in images[1:-1]:
        assert min(distance(inner, photo) for photo in photos[:2]) > 5


def test_an_inverse_that_stops_too_early_is_reported(flows, photos) -> None:
    block = residual_blocks(flows["iresnet"])[0]
    before = block.fixed_point
    block.fixed_point = replace(before, max_iterations=2)
    assert not interpolate(flows["iresnet"], photos[0], photos[1], 3).settled
    block.fixed_point = before


def test_an_interpolation_is_straight_in_the_latents(photos) -> None:
    """A flow that only dequantizes and centres shows its latents."""
    plain = Flow([Dequantize(), Center()], StandardNormal(), (3, 8, 8))
    plain.register_parameter("like", torch.nn.Parameter(torch.zeros(())))
    straight = interpolate(plain, photos[0], photos[1], 3).images[1]
    middle = (photos[0].astype(float) + photos[1]) / 2
    assert np.abs(straight - middle).max() <= 1.5


def test_an_interpolation_draws_nothing_at_random_and_leaves_the_flow_unchanged(
    flows, photos
) -> None:
    flow = flows["resflow"].train()
    before = {k: v.clone() for k, v in flow.state_dict().items()}
    torch.manual_seed(1)
    first = interpolate(flow, photos[0], photos[1], 4)
    torch.manual_seed(2)
    again = interpolate(flow, photos[0], photos[1], 4)
    assert np.array_equal(first.images, again.images)
    assert flow.training
    assert all(torch.equal(v, before[k]) for k, v in flow.state_dict().items())
