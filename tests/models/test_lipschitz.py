"""Maps of bounded spectral norm, against the dense operator at their size."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lcma.models.activations import lipswish_gains
from lcma.models.lipschitz import NormedConv, NormedLinear, NormedMap

SIZE = 5

MAPS: dict[str, Callable[[], NormedMap]] = {
    "3x3 wider": lambda: NormedConv(2, 4, 3, (SIZE, SIZE), 0.9),
    "3x3 narrower": lambda: NormedConv(4, 2, 3, (SIZE, SIZE), 0.9),
    "3x3 oblong": lambda: NormedConv(2, 3, 3, (4, 7), 0.9),
    "1x1": lambda: NormedConv(4, 3, 1, (SIZE, SIZE), 0.9),
    "linear": lambda: NormedLinear(7, 5, 0.9),
}


@pytest.fixture(params=list(MAPS))
def normed(request: pytest.FixtureRequest) -> NormedMap:
    torch.manual_seed(0)
    return MAPS[request.param]().double()


def input_shape(normed: NormedMap) -> tuple[int, ...]:
    """Return the shape of one input, which `v` of a 1x1 convolution does not have."""
    if isinstance(normed, NormedLinear):
        return (normed.weight.shape[1],)
    outputs, inputs = normed.weight.shape[:2]
    return (inputs, *((4, 7) if (inputs, outputs) == (2, 3) else (SIZE, SIZE)))


def dense(normed: NormedMap, weight: Tensor) -> Tensor:
    """Return the operator with this weight as a matrix (outputs, inputs)."""
    shape = input_shape(normed)
    size = torch.Size(shape).numel()
    columns = normed.operator(torch.eye(size, dtype=weight.dtype).view(-1, *shape), weight)
    return columns.flatten(1).T


def norm(matrix: Tensor) -> float:
    return float(torch.linalg.matrix_norm(matrix.detach(), 2))


def scale(normed: NormedMap, wanted: float) -> None:
    """Scale the weight so that the operator has this norm."""
    with torch.no_grad():
        normed.weight.mul_(wanted / norm(dense(normed, normed.weight)))


@pytest.mark.parametrize("wanted", [0.3, 0.9, 4.0])
def test_sigma_is_the_largest_singular_value_of_the_operator(
    normed: NormedMap, wanted: float
) -> None:
    scale(normed, wanted)
    normed.iterate(5000, 1e-13)
    assert float(normed.sigma) == pytest.approx(wanted, rel=1e-6)
    if normed.weight.ndim == 4 and normed.weight.shape[-1] == 3:
        reshaped = norm(normed.weight.detach().flatten(1))
        assert abs(reshaped / wanted - 1) > 1e-2, "the reshaped kernel's norm is another number"


@pytest.mark.parametrize("wanted", [0.3, 0.89])
def test_a_small_norm_is_left_alone(normed: NormedMap, wanted: float) -> None:
    scale(normed, wanted)
    normed.iterate(5000, 1e-13)
    assert torch.equal(normed.normalized(), normed.weight)


def test_a_large_norm_becomes_the_coefficient(normed: NormedMap) -> None:
    scale(normed, 4.0)
    normed.iterate(5000, 1e-13)
    assert norm(dense(normed, normed.normalized())) == pytest.approx(0.9, rel=1e-6)
    x = torch.randn(3, *input_shape(normed), dtype=torch.float64)
    mapped = x.flatten(1) @ dense(normed, normed.weight).T * (0.9 / 4)
    zero = torch.zeros(1, *x.shape[1:], dtype=x.dtype)
    assert torch.allclose((normed(x) - normed(zero)).flatten(1), mapped, rtol=1e-5)


def test_the_gradient_passes_through_sigma(normed: NormedMap) -> None:
    """It is that of the weight divided by the norm of the dense operator."""
    scale(normed, 4.0)
    normed.iterate(5000, 1e-14)
    direction = torch.randn(normed.weight.shape, dtype=torch.float64)

    exact = normed.weight * (0.9 / torch.linalg.matrix_norm(dense(normed, normed.weight), 2))
    (expected,) = torch.autograd.grad((direction * exact).sum(), normed.weight)
    (gradient,) = torch.autograd.grad((direction * normed.normalized()).sum(), normed.weight)
    assert torch.allclose(gradient, expected, atol=1e-4 * float(expected.norm()))
    constant_sigma = direction * 0.9 / 4
    assert float((constant_sigma - expected).abs().max()) > 1e-2 * float(expected.norm())


@pytest.mark.parametrize(("cap", "tolerance"), [(3, 0.0), (2, 1e-15), (5000, 1e-3)])
def test_iteration_stops_at_its_tolerance_or_its_cap(
    normed: NormedMap, cap: int, tolerance: float
) -> None:
    other = copy.deepcopy(normed)
    normed.iterate(cap, tolerance)
    for _ in range(cap):
        before = float(other.sigma)
        other.iterate(1)
        if abs(float(other.sigma) - before) <= tolerance * float(other.sigma):
            break
    assert_equal(normed, other)


def assert_equal(normed: NormedMap, other: NormedMap) -> None:
    state = other.state_dict()
    assert [k for k, v in normed.state_dict().items() if not torch.equal(v, state[k])] == []


@pytest.mark.parametrize("tolerance", [1e-1, 1e-2, 1e-3, 1e-15])
def test_iterations_that_wait_for_no_device_end_where_others_do(
    normed: NormedMap, tolerance: float
) -> None:
    normed.float()
    other = copy.deepcopy(normed)
    for _ in range(3):
        normed.iterate(6, tolerance)
        other.iterate_without_waiting(6, tolerance)
        assert_equal(normed, other)
        drift(normed)
        drift(other)


def drift(normed: nn.Module) -> None:
    with torch.no_grad():
        for parameter in normed.parameters():
            parameter.mul_(1.01).add_(0.003)


def test_a_weight_of_zeros_stays_finite(normed: NormedMap) -> None:
    with torch.no_grad():
        normed.weight.zero_()
    normed.iterate(5)
    assert bool(torch.isfinite(normed.normalized()).all())
    with torch.no_grad():
        normed.weight.normal_()
    normed.iterate(5000, 1e-13)
    assert float(normed.sigma) == pytest.approx(norm(dense(normed, normed.weight)), rel=1e-6)


@pytest.mark.parametrize("sharpness", [-4.0, 0.5, 5.0])
def test_lipswish_is_1_lipschitz_and_nearly_attains_it(sharpness: float) -> None:
    x = torch.linspace(-300, 300, 600_001, dtype=torch.float64, requires_grad=True)
    b = torch.tensor(sharpness, dtype=torch.float64)
    before, after = lipswish_gains(b)
    y = after * nn.functional.silu(before * x)
    expected = x * torch.sigmoid(nn.functional.softplus(b) * x) / 1.1
    assert torch.allclose(y, expected, atol=1e-12)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert 0.999 < float(slope.abs().max()) < 1
