"""Residual blocks against dense Jacobians: contributions, estimators, gradients, inverse."""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import pytest
import scipy.stats
import torch
from torch import Tensor

from lcma.models.lipschitz import NormedConv, NormedLinear, PowerIteration
from lcma.models.residual import Estimator, FixedPoint, FlatNet, ResidualBlock, conv_net
from lcma.models.series import roulette_weights
from tests.models.conftest import draw

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
    """A block in float64 and evaluation mode, every norm at its largest."""
    return copy.deepcopy(make_strong(request.param))


@cache
@torch.no_grad()
def make_strong(name: str) -> ResidualBlock:
    """Make a block with large norms, slopes mostly near 1, and a last map near the first one's
    transpose, so that its Jacobian is large and so is the diagonal."""
    torch.manual_seed(0)
    block = BLOCKS[name]().double().eval()
    first, middle, last = block.net.normed
    first.weight.mul_(4)
    transposed = first.weight.transpose(0, 1)
    if isinstance(first, NormedConv):
        transposed = transposed.flip(2, 3)
    last.weight.mul_(2).add_(transposed)
    middle.weight.flatten(1).diagonal().add_(2)
    for layer in (first, middle):
        layer.bias.add_(0.5 if block.net.activation == "elu" else 2)
    for layer in block.net.normed:
        layer.iterate(5000, 1e-12)
    return block


def draw_images(count: int = 1, seed: int = 0) -> Tensor:
    return 0.5 + draw(seed, count, CHANNELS, SIZE, SIZE)


def dense(block: ResidualBlock, x: Tensor, tensors: Sequence[Tensor] | None = None) -> Tensor:
    """The Jacobian of g at one image, (D, D) and differentiable."""
    weights = block.net.tensors() if tensors is None else tensors

    def flat(t: Tensor) -> Tensor:
        return block.net.apply_to(t.view_as(x), weights).flatten()

    jacobian = torch.autograd.functional.jacobian(flat, x.flatten(), create_graph=True)
    assert isinstance(jacobian, Tensor)
    return jacobian


def lipschitz(block: ResidualBlock) -> float:
    """Return the bound of g's Lipschitz constant."""
    return math.prod(layer.coefficient for layer in block.net.normed)


def log_det(jacobian: Tensor) -> Tensor:
    return torch.linalg.slogdet(torch.eye(DIMENSIONS, dtype=torch.float64) + jacobian).logabsdet


def basis_probes() -> Tensor:
    """Probes (D, C, H, W) whose mean estimate is the exact one: v v^T averages to I."""
    size = DIMENSIONS
    return math.sqrt(size) * torch.eye(size, dtype=torch.float64).view(size, CHANNELS, SIZE, SIZE)


def mean_estimate(block: ResidualBlock, x: Tensor, weights: Sequence[float]) -> Tensor:
    """The mean of the block's estimate of log det over every probe of the basis."""
    copies = x.expand(DIMENSIONS, -1, -1, -1)
    return block.estimate(copies, [basis_probes()], weights)[1].sum() / DIMENSIONS


# Contributions


def test_evaluation_has_no_noise_where_dimensions_do_not_meet() -> None:
    """A Rademacher probe is exact for a diagonal Jacobian; the Gaussian one of training is not."""
    torch.manual_seed(0)
    maps = [NormedLinear(DIMENSIONS, DIMENSIONS, 0.9) for _ in range(2)]
    block = ResidualBlock(FlatNet(maps, "elu"), I_RESNET, PowerIteration(5)).double().eval()
    with torch.no_grad():
        for layer in maps:
            layer.weight.copy_(torch.linspace(-0.8, 0.8, DIMENSIONS).diag())
        x = draw_images()
        expected = (1 + dense(block, x).diagonal()).log()
        assert torch.allclose(block(x)[1].flatten(), expected, atol=1e-9)
        block.train()
        assert float((block(x)[1].flatten() - expected).abs().max()) > 0.1


def test_the_series_with_every_probe_is_the_log_determinant(block: ResidualBlock) -> None:
    x = draw_images()
    with torch.no_grad():
        long, short = (mean_estimate(block, x, [1.0] * terms) for terms in (300, 3))
    assert float(long) == pytest.approx(float(log_det(dense(block, x)).detach()), abs=1e-9)
    terms = (lipschitz(block) ** k / k for k in range(4, 2000))
    assert 1e-6 < abs(float(short - long)) < DIMENSIONS * sum(terms)


def test_several_probes_are_averaged(block: ResidualBlock) -> None:
    x, generator = draw_images(3), torch.Generator()
    with torch.no_grad():
        generator.manual_seed(0)
        single = [block(x, generator)[1] for _ in range(3)]
        block.probes = 3
        mean = block(x, generator.manual_seed(0))[1]
    assert torch.allclose(mean, torch.stack(single).mean(0), atol=1e-14)
    assert not torch.allclose(mean, single[0], atol=1e-3)


# Training


def gradients(objective: Tensor, block: ResidualBlock, x: Tensor) -> list[Tensor]:
    inputs = [x, *(p for p in block.parameters() if p.requires_grad)]
    return list(torch.autograd.grad(objective, inputs, materialize_grads=True))


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("neumann", [True, False])
def test_the_gradient_in_training_is_that_of_the_log_determinant(
    block: ResidualBlock, neumann: bool
) -> None:
    """In the mean over probes, for the input and every parameter."""
    block.train().estimator = replace(block.estimator, neumann=neumann)
    x = draw_images().requires_grad_()
    expected = gradients(log_det(dense(block, x)), block, x)
    assert all(float(g.abs().max()) > 0 for g in expected[:2])
    long, short = (gradients(mean_estimate(block, x, [1.0] * n), block, x) for n in (100, 2))
    assert largest_difference(long, expected) < 1e-9
    assert largest_difference(short, expected) > 1e-5, "a truncated series would be seen"


def test_roulette_and_neumann_have_no_bias_together(block: ResidualBlock) -> None:
    """The mean over every probe and the Poisson number of terms, for value and gradient."""
    block.train().estimator = replace(RESIDUAL_FLOW)
    x = draw_images().requires_grad_()
    exact = log_det(dense(block, x))
    mean = sum(
        mean_estimate(block, x, roulette_weights(2, further, 2.0)) * probability
        for further, probability in enumerate(scipy.stats.poisson.pmf(range(24), 2.0))
    )
    assert isinstance(mean, Tensor)
    assert float(mean.detach()) == pytest.approx(float(exact.detach()), abs=1e-6)
    assert largest_difference(gradients(mean, block, x), gradients(exact, block, x)) < 1e-6


def test_an_objective_that_weighs_images_is_refused(block: ResidualBlock) -> None:
    block.train().estimator = replace(RESIDUAL_FLOW)
    contribution = block(draw_images(3).requires_grad_())[1]
    with pytest.raises(ValueError, match="neumann: false"):
        (torch.tensor([1.0, 2.0, 3.0]) * contribution.flatten(1).sum(1)).sum().backward()


# Bounds, inverse, state


def test_g_keeps_its_lipschitz_bound(block: ResidualBlock) -> None:
    bound = lipschitz(block)
    assert bound < 1
    weights = [t for layer in block.net.normed for t in (layer.weight, layer.bias)]
    raw_tensors = weights + block.net.tensors()[len(weights) :]
    for seed in range(5):
        x = 3 * draw_images(seed=seed)
        assert float(torch.linalg.matrix_norm(dense(block, x).detach(), 2)) < bound
        raw = dense(block, x, raw_tensors).detach()
        assert float(torch.linalg.matrix_norm(raw, 2)) > 1, "the weights as they are break it"


@pytest.mark.slow_on("first")
def test_power_iteration_before_a_step_holds_the_bound_while_weights_move(
    block: ResidualBlock,
) -> None:
    generator = torch.Generator().manual_seed(3)
    for number in range(20):
        with torch.no_grad():
            for layer in block.net.normed:
                step = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
                layer.weight.add_(0.03 * layer.weight.std() * step)
        block.before_step()
        for layer in block.net.normed if number % 5 == 4 else ():
            converged = copy.deepcopy(layer)
            converged.iterate(3000, 1e-12)
            assert float(converged.sigma) / float(layer.sigma) < 1.03


def test_the_inverse_reaches_its_tolerance(block: ResidualBlock) -> None:
    x = draw_images(3)
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
    x = 4 * draw_images(2).float()
    with torch.no_grad():
        y, _ = block(x)
    assert float((block.inverse(y) - x).abs().max()) < 1e-4
    assert block.last_iterations < 500


def test_a_fresh_block_is_ready_after_its_first_batch() -> None:
    block = iresnet().double().eval()
    block.initialize(draw_images(4))
    for layer in block.net.normed:
        sigma = float(layer.sigma)
        layer.iterate(5000, 1e-13)
        assert sigma == pytest.approx(float(layer.sigma), rel=1e-3)
