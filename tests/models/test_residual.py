"""Residual blocks against dense Jacobians: contributions, estimators, gradients, inverse."""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor

from lcma.models.lipschitz import NormedConv, NormedLinear, PowerIteration
from lcma.models.residual import Estimator, FixedPoint, FlatNet, ResidualBlock, conv_net
from lcma.models.series import roulette_weights

CHANNELS, SIZE = 2, 4
DIMENSIONS = CHANNELS * SIZE**2
WIDTH = 5

I_RESNET = Estimator(5, neumann=False, eval_terms=40)
RESIDUAL_FLOW = Estimator(2, 2.0, eval_terms=40)


def iresnet(estimator: Estimator = I_RESNET, *, first: bool = False) -> ResidualBlock:
    net = conv_net(CHANNELS, SIZE, WIDTH, 0.9, "elu", first=first)
    return ResidualBlock(net, estimator, PowerIteration(5))


def resflow(estimator: Estimator = RESIDUAL_FLOW) -> ResidualBlock:
    net = conv_net(CHANNELS, SIZE, WIDTH, 0.98, "lipswish")
    return ResidualBlock(net, estimator, PowerIteration(200, 1e-3))


def fully_connected(estimator: Estimator = RESIDUAL_FLOW) -> ResidualBlock:
    widths = (DIMENSIONS, 24, 24, DIMENSIONS)
    maps = [NormedLinear(a, b, 0.98) for a, b in itertools.pairwise(widths)]
    return ResidualBlock(FlatNet(maps, "lipswish"), estimator, PowerIteration(200, 1e-3))


BLOCKS: dict[str, Callable[[], ResidualBlock]] = {
    "i-ResNet": iresnet,
    "i-ResNet, first": lambda: iresnet(first=True),
    "Residual Flow": resflow,
    "fully connected": fully_connected,
}


@pytest.fixture(params=list(BLOCKS))
def block(request: pytest.FixtureRequest) -> ResidualBlock:
    """In float64 and evaluation mode, every norm at its largest."""
    return copy.deepcopy(make_strong(request.param))


@cache
def make_strong(name: str) -> ResidualBlock:
    torch.manual_seed(0)
    return strong(BLOCKS[name]())


@torch.no_grad()
def strong(block: ResidualBlock) -> ResidualBlock:
    """With large norms, slopes mostly near 1, and the last map near the first one's transpose,
    so that the Jacobian is large and has a diagonal to be seen."""
    block = block.double().eval()
    first, middle, last = block.net.normed
    first.weight.mul_(4)
    transposed = first.weight.transpose(0, 1)
    if isinstance(first, NormedConv):
        transposed = transposed.flip(2, 3)
    last.weight.mul_(2).add_(transposed)
    middle.weight.flatten(1).diagonal().add_(2)
    for each in (first, middle):
        each.bias.add_(0.5 if block.net.activation == "elu" else 2)
    for each in block.net.normed:
        each.iterate(5000, 1e-12)
    return block


def images(count: int = 1, seed: int = 0) -> Tensor:
    drawn = np.random.RandomState(seed).normal(0.5, 1, size=(count, CHANNELS, SIZE, SIZE))
    return torch.from_numpy(drawn)


def dense(block: ResidualBlock, x: Tensor, tensors: Sequence[Tensor] | None = None) -> Tensor:
    """The Jacobian of g at one image, (D, D) and differentiable."""
    used = block.net.tensors() if tensors is None else tensors

    def flat(t: Tensor) -> Tensor:
        return block.net.apply_to(t.view_as(x), used).flatten()

    found = torch.autograd.functional.jacobian(flat, x.flatten(), create_graph=True)
    assert isinstance(found, Tensor)
    return found


def lipschitz(block: ResidualBlock) -> float:
    """Return the bound of g's Lipschitz constant."""
    return math.prod(each.coefficient for each in block.net.normed)


def log_det(jacobian: Tensor) -> Tensor:
    return torch.linalg.slogdet(torch.eye(DIMENSIONS, dtype=torch.float64) + jacobian).logabsdet


def basis_probes() -> Tensor:
    """Probes (D, C, H, W) whose mean estimate is the exact one: v v^T averages to I."""
    size = DIMENSIONS
    return math.sqrt(size) * torch.eye(size, dtype=torch.float64).view(size, CHANNELS, SIZE, SIZE)


def exact_terms(block: ResidualBlock, x: Tensor, weights: Sequence[float]) -> Tensor:
    """The block's estimate of log det, with every probe of the basis."""
    copies = x.expand(DIMENSIONS, -1, -1, -1)
    return block.estimate(copies, [basis_probes()], weights)[1].sum() / DIMENSIONS


# Contributions


def test_evaluation_has_no_noise_where_dimensions_do_not_meet() -> None:
    """A Rademacher probe is exact for a diagonal Jacobian; the Gaussian one of training is not."""
    torch.manual_seed(0)
    maps = [NormedLinear(DIMENSIONS, DIMENSIONS, 0.9) for _ in range(2)]
    block = ResidualBlock(FlatNet(maps, "elu"), I_RESNET, PowerIteration(5)).double().eval()
    with torch.no_grad():
        for each in maps:
            each.weight.copy_(torch.linspace(-0.8, 0.8, DIMENSIONS).diag())
        found = block(images())[1].flatten()
        expected = (1 + dense(block, images()).diagonal()).log()
        assert torch.allclose(found, expected, atol=1e-9)
        block.train()
        assert float((block(images())[1].flatten() - expected).abs().max()) > 0.1


def test_the_series_with_every_probe_is_the_log_determinant(block: ResidualBlock) -> None:
    x = images()
    with torch.no_grad():
        found, few = (exact_terms(block, x, [1.0] * terms) for terms in (300, 3))
    assert float(found) == pytest.approx(float(log_det(dense(block, x)).detach()), abs=1e-9)
    terms = (lipschitz(block) ** k / k for k in range(4, 2000))
    assert 1e-6 < abs(float(few - found)) < DIMENSIONS * sum(terms)


def test_several_probes_are_averaged(block: ResidualBlock) -> None:
    x, generator = images(3), torch.Generator()
    with torch.no_grad():
        generator.manual_seed(0)
        single = [block(x, generator)[1] for _ in range(3)]
        block.probes = 3
        mean = block(x, generator.manual_seed(0))[1]
    assert torch.allclose(mean, torch.stack(single).mean(0), atol=1e-14)
    assert not torch.allclose(mean, single[0], atol=1e-3)


def test_in_evaluation_the_gradient_is_that_of_the_series(block: ResidualBlock) -> None:
    x = images().requires_grad_()
    expected = torch.autograd.grad(log_det(dense(block, x)), x)[0]
    found = torch.autograd.grad(exact_terms(block, x, [1.0] * 100), x)[0]
    assert torch.allclose(found, expected, atol=1e-9)


# Training


def trained_tensors(block: ResidualBlock) -> list[Tensor]:
    return [p for p in block.parameters() if p.requires_grad]


def gradients(objective: Tensor, block: ResidualBlock, x: Tensor) -> list[Tensor]:
    inputs = [x, *trained_tensors(block)]
    found = torch.autograd.grad(objective, inputs, allow_unused=True)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(inputs, found, strict=True)]


def largest_difference(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("memory_saving", [True, False])
@pytest.mark.parametrize("neumann", [True, False])
def test_the_gradient_in_training_is_that_of_the_log_determinant(
    block: ResidualBlock, neumann: bool, memory_saving: bool
) -> None:
    """In the mean over probes, for the input and every parameter."""
    block.train().estimator = replace(block.estimator, neumann=neumann)
    block.memory_saving = memory_saving
    x = images().requires_grad_()
    expected = gradients(log_det(dense(block, x)), block, x)
    assert all(float(g.abs().max()) > 0 for g in expected[:2])
    found = exact_terms(block, x, [1.0] * 100)
    assert largest_difference(gradients(found, block, x), expected) < 1e-9
    short = gradients(exact_terms(block, x, [1.0] * 2), block, x)
    assert largest_difference(short, expected) > 1e-5, "a truncated series would be seen"


def test_roulette_and_neumann_have_no_bias_together(block: ResidualBlock) -> None:
    """The mean over every probe and the Poisson number of terms, for value and gradient."""
    block.train().estimator = replace(RESIDUAL_FLOW)
    x = images().requires_grad_()
    exact = log_det(dense(block, x))
    expected = gradients(exact, block, x)
    value, total = 0.0, [torch.zeros_like(t) for t in expected]
    for further, probability in enumerate(scipy.stats.poisson.pmf(range(24), 2.0)):
        found = exact_terms(block, x, roulette_weights(2, further, 2.0))
        value += probability * float(found.detach())
        for sum_, part in zip(total, gradients(found, block, x), strict=True):
            sum_ += probability * part
    assert value == pytest.approx(float(exact.detach()), abs=1e-6)
    assert largest_difference(total, expected) < 1e-6


def test_the_memory_saving_form_has_the_same_gradients(block: ResidualBlock) -> None:
    """With the block's own draws, in an objective to which y belongs too."""
    block.train().estimator = replace(RESIDUAL_FLOW)
    x, found = images(4).requires_grad_(), []
    for memory_saving in (True, False):
        block.memory_saving = memory_saving
        y, contribution = block(x, torch.Generator().manual_seed(0))
        objective = (y.square().flatten(1).sum(1) + contribution.flatten(1).sum(1)).mean()
        found.append([objective.detach(), *gradients(objective, block, x)])
    assert largest_difference(*found) < 1e-12


def test_an_objective_that_weighs_images_needs_the_other_form(block: ResidualBlock) -> None:
    block.train().estimator = replace(RESIDUAL_FLOW)
    x, weights = images(3).requires_grad_(), torch.tensor([1.0, 2.0, 3.0])

    def objective() -> Tensor:
        contribution = block(x, torch.Generator().manual_seed(0))[1]
        return (weights * contribution.flatten(1).sum(1)).sum()

    with pytest.raises(ValueError, match="memory_saving"):
        objective().backward()
    block.memory_saving = False
    whole = gradients(objective(), block, x)
    block.memory_saving = True
    contribution = block(x, torch.Generator().manual_seed(0))[1]
    (equal,) = torch.autograd.grad(contribution.sum(), x)
    assert torch.allclose(whole[0], weights.view(-1, 1, 1, 1) * equal, atol=1e-12)


# Bounds, inverse, state


def test_g_keeps_its_lipschitz_bound(block: ResidualBlock) -> None:
    bound = lipschitz(block)
    assert bound < 1
    for seed in range(5):
        jacobian = dense(block, 3 * images(seed=seed)).detach()
        assert float(torch.linalg.matrix_norm(jacobian, 2)) < bound
        tensors = [
            t for each in block.net.normed for t in (each.weight, each.bias)
        ] + block.net.tensors()[2 * len(block.net.maps) :]
        raw = dense(block, 3 * images(seed=seed), tensors).detach()
        assert float(torch.linalg.matrix_norm(raw, 2)) > 1, "the weights as they are break it"


@pytest.mark.slow_on("first")
def test_power_iteration_before_a_step_holds_the_bound_while_weights_move(
    block: ResidualBlock,
) -> None:
    generator = torch.Generator().manual_seed(3)
    for number in range(20):
        with torch.no_grad():
            for each in block.net.normed:
                step = torch.randn(each.weight.shape, generator=generator, dtype=torch.float64)
                each.weight.add_(0.03 * each.weight.std() * step)
        block.before_step()
        for each in block.net.normed if number % 5 == 4 else ():
            used = float(each.sigma)
            each = copy.deepcopy(each)
            each.iterate(3000, 1e-12)
            assert float(each.sigma) / used < 1.03


def test_the_inverse_reaches_its_tolerance(block: ResidualBlock) -> None:
    x = images(3)
    with torch.no_grad():
        y, _ = block(x)
    counts = []
    for tolerance in (1e-4, 1e-10):
        block.fixed_point = FixedPoint(tolerance, 1000)
        error = (block.inverse(y) - x).flatten(1).norm(dim=1).max()
        bound = lipschitz(block)
        assert float(error) <= bound / (1 - bound) * tolerance * math.sqrt(x.numel())
        counts.append(block.last_iterations)
    assert 1 < counts[0] < counts[1] < 1000
    block.fixed_point = FixedPoint(1e-10, 2)
    block.inverse(y)
    assert block.last_iterations == 2


def test_the_inverse_ends_where_float32_ends(block: ResidualBlock) -> None:
    block.float().fixed_point = FixedPoint(1e-12, 500)
    x = 4 * images(2).float()
    with torch.no_grad():
        y, _ = block(x)
    assert float((block.inverse(y) - x).abs().max()) < 1e-4
    assert block.last_iterations < 500


def test_a_fresh_block_is_ready_after_its_first_batch() -> None:
    torch.manual_seed(0)
    block = iresnet().double().eval()
    block.initialize(images(4))
    for each in block.net.normed:
        ready = float(each.sigma)
        each.iterate(5000, 1e-13)
        assert ready == pytest.approx(float(each.sigma), rel=1e-3)
