"""Contribution maps of flows small enough to work out on paper."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma.models import Flow
from lcma.models.factorization import make_tables
from lcma.models.layers import Dequantize, Layer, PassAll, Squeeze, Unsqueeze
from lcma.models.priors import StandardNormal
from lcma.models.split import Split

SHAPE = (2, 4, 4)


class Scaling(Layer):
    """Each entry of y is exp(log_scale) times that of x."""

    def __init__(self, log_scale: Tensor) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(log_scale.double())

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp(), self.log_scale[None]

    def inverse(self, y: Tensor) -> Tensor:
        return y * (-self.log_scale).exp()


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).normal(size=shape))


@pytest.fixture
def scales() -> tuple[Tensor, Tensor, Tensor]:
    """Log-scales on the image, on the squeezed image and after the split."""
    return drawn(0, *SHAPE), drawn(1, 8, 2, 2), drawn(2, 4, 2, 2)


def expected_first(a: Tensor, b: Tensor) -> Tensor:
    """a on the image plus b, which lies in the squeezed layout 4c + 2dr + dq."""
    found = torch.zeros(SHAPE, dtype=torch.float64)
    for c, r, q in itertools.product(range(2), range(4), range(4)):
        found[c, r, q] = a[c, r, q] + b[4 * c + 2 * (r % 2) + q % 2, r // 2, q // 2]
    return found


def flow_of(middle: list[Layer], a: Tensor, b: Tensor) -> Flow:
    layers = [Dequantize(), Scaling(a), Squeeze(), Scaling(b), Unsqueeze(), *middle]
    return Flow(layers, StandardNormal(), SHAPE).double().eval()


IMAGES = torch.arange(64, dtype=torch.uint8).view(2, *SHAPE)


def test_without_a_split(scales: tuple[Tensor, Tensor, Tensor]) -> None:
    a, b, _ = scales
    after = drawn(3, 8, 2, 2)
    flow = flow_of([PassAll(), Scaling(after)], a, b)
    found = flow.contributions(IMAGES)
    first = expected_first(a, b)
    for image in range(2):
        assert torch.allclose(found.at_splits[0][image], first, atol=1e-12)
        assert torch.allclose(found.total[image], expected_first(first, after), atol=1e-12)
    assert torch.allclose(found.log_det, (a.sum() + b.sum() + after.sum()).expand(2), atol=1e-12)


@pytest.mark.parametrize("name", ["checkerboard-odd", "channel", "random"])
def test_with_a_split(name: str, scales: tuple[Tensor, Tensor, Tensor]) -> None:
    a, b, after = scales
    (table,) = make_tables(name, SHAPE, 1, seed=1)
    flow = flow_of([Split(table, StandardNormal()), Scaling(after)], a, b)
    found = flow.contributions(IMAGES)
    first = expected_first(a, b)
    total = first.clone().flatten()
    for place, identity in enumerate(table.kept.ravel().tolist()):
        total[identity] += after.flatten()[place]
    for image in range(2):
        assert torch.allclose(found.at_splits[0][image], first, atol=1e-12)
        assert torch.allclose(found.total[image].flatten(), total, atol=1e-12)
    likelihood = flow(IMAGES)
    constant = 32 * np.log(256)
    assert torch.allclose(likelihood.log_det, total.sum() - constant, atol=1e-12)


def test_a_map_read_back_by_a_word(scales: tuple[Tensor, Tensor, Tensor]) -> None:
    """The dimensions that leave in `L` have the lower contributions of their windows."""
    a, b, _ = scales
    flow = flow_of([PassAll()], a, b)
    values = flow.contributions(IMAGES[:1]).at_splits[0][0].detach().numpy()
    (low,) = make_tables("L", SHAPE, 1, maps=[values])
    flat = values.ravel()
    kept, left = flat[low.kept].reshape(2, 2, 2, 2), flat[low.left].reshape(2, 2, 2, 2)
    assert (kept.min(0) > left.max(0)).all(), "rank before colour in the channels of a half"
