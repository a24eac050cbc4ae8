"""Contribution maps of flows small enough to work out on paper."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma.models import Flow
from lcma.models.factorization import make_tables
from lcma.models.layers import Dequantize, Layer, Squeeze, Unsqueeze
from lcma.models.priors import StandardNormal
from lcma.models.split import Split
from tests.models.conftest import draw

SHAPE = (2, 4, 4)
IMAGES = torch.arange(64, dtype=torch.uint8).view(2, *SHAPE)
FIRST, SQUEEZED = draw(0, *SHAPE), draw(1, 8, 2, 2)
"""Log-scales on the image and on the squeezed image."""


class Scaling(Layer):
    """Each entry of y is exp(log_scale) times that of x."""

    def __init__(self, log_scale: Tensor) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(log_scale.double())

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp(), self.log_scale[None]

    def inverse(self, y: Tensor) -> Tensor:
        return y * (-self.log_scale).exp()


def add_squeezed(image: Tensor, squeezed: Tensor) -> Tensor:
    """Add values of the squeezed image, whose channel is 4c + 2dr + dq, to those of the image."""
    total = image.clone()
    for c, r, q in itertools.product(range(2), range(4), range(4)):
        total[c, r, q] += squeezed[4 * c + 2 * (r % 2) + q % 2, r // 2, q // 2]
    return total


def build_flow(*last: Layer) -> Flow:
    layers = [Dequantize(), Scaling(FIRST), Squeeze(), Scaling(SQUEEZED), Unsqueeze(), *last]
    return Flow(layers, StandardNormal(), SHAPE).double().eval()


@pytest.mark.parametrize("name", ["checkerboard-odd", "channel", "random"])
def test_with_a_split(name: str) -> None:
    last = draw(2, 4, 2, 2)
    (table,) = make_tables(name, SHAPE, 1, seed=1)
    flow = build_flow(Split(table, StandardNormal()), Scaling(last))
    contributions = flow.contributions(IMAGES)
    at_split = add_squeezed(FIRST, SQUEEZED)
    total = at_split.clone().flatten()
    for place, identity in enumerate(table.kept.ravel().tolist()):
        total[identity] += last.flatten()[place]
    for image in range(2):
        assert torch.allclose(contributions.at_splits[0][image], at_split, atol=1e-12)
        assert torch.allclose(contributions.total[image].flatten(), total, atol=1e-12)
    dequantization = -32 * np.log(256)
    assert torch.allclose(flow(IMAGES).log_det, total.sum() + dequantization, atol=1e-12)
