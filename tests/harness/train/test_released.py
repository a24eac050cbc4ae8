"""The `paper` recipes against the released code: parameters, schedules and starting values.

Numbers are computed here from the shapes and rules of that code: real_nvp_utils.py and
real_nvp_multiscale_dataset.py of tensorflow/models (research/real_nvp); model.py, tfops.py,
optim.py and train.py of openai/glow; CIFAR_main.py, models/ and scripts/dens_est_cifar.sh of
jhjacobsen/invertible-resnet; train_img.py and lib/ of rtqichen/residual-flows.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from lcma.harness.train.batches import Images
from lcma.harness.train.trainer import Trainer
from lcma.models import build
from lcma.models.convolution import GainedConv
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling, NormalizedConv
from lcma.models.lipschitz import NormedMap
from lcma.models.priors import PlaceNormal
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe


def conv(kernel: int, inputs: int, outputs: int, vectors: int) -> int:
    """Count a kernel and vectors of outputs, such as biases and learned magnitudes."""
    return kernel**2 * inputs * outputs + vectors * outputs


def realnvp_net(inputs: int, width: int, blocks: int, *, mask: bool) -> int:
    """Count `resnet` of a coupling, which has as many inputs as outputs, and `bn_in` before it."""
    skip = conv(1, width, width, 2)
    block = width + conv(3, width, width, 0) + width + conv(3, width, width, 2) + skip
    stem = inputs + conv(3, 2 * inputs + mask, width, 1) + skip
    return stem + blocks * block + width + conv(1, width, 2 * inputs, 2)


def realnvp(scales: int, width: int, blocks: int) -> int:
    """Count `rec_masked_conv_coupling`; each coupling has a scale."""
    total, channels = 0, 3
    for last in [False] * (scales - 1) + [True]:
        total += (3 + last) * (realnvp_net(channels, width, blocks, mask=True) + 1)
        if not last:
            total += 3 * (realnvp_net(2 * channels, 2 * width, blocks, mask=False) + 1)
        channels, width = 2 * channels, 2 * width
    return total


def glow(levels: int, steps: int) -> int:
    """Count `revnet2d`, `split2d` and `prior` with all edge channels and the dense 1x1 weight.

    The last prior's kernel sees only zeros and its edge channel. The weights for the zeros never
    change, and are left out.
    """
    total, channels, width = 0, 3, 512
    for level in range(levels):
        mixed = 4 * channels
        net = conv(3, mixed // 2 + 1, width, 2) + conv(1, width, width, 2)
        step = 2 * mixed + mixed**2 + net + conv(3, width + 1, mixed, 2)
        total += steps * step
        if level < levels - 1:
            total += conv(3, mixed // 2 + 1, mixed, 2)
            channels = mixed // 2
    return total + conv(3, 1, 2 * mixed, 2)


def residual_net(channels: int) -> int:
    return conv(3, channels, 512, 1) + conv(1, 512, 512, 1) + conv(3, 512, channels, 1)


def iresnet() -> int:
    """Count 16 blocks a scale with an actnorm each, half of the channels leaving, and the prior."""
    blocks = sum(16 * (residual_net(c) + 2 * c) for c in (12, 24, 48))
    return blocks + 2 * 3072


def resflow(blocks: int, channels: tuple[int, ...], dimensions: int) -> int:
    """Count blocks of these channels in each scale, and dense blocks on the last dimensions.

    Each LipSwish has a parameter; the very first block lacks one LipSwish. The parameters of the
    distribution of terms get no gradient, and are left out.
    """
    convolutional = sum(blocks * (residual_net(c) + 3 + 2 * c) for c in channels) - 1
    net = conv(1, dimensions, 128, 1) + conv(1, 128, 128, 1) + conv(1, 128, dimensions, 1)
    return 2 * channels[0] + convolutional + 4 * (net + 3 + 2 * dimensions)


COUNTS = [
    ("realnvp", "cifar10", "checkerboard-even", realnvp(2, 64, 8), 19.6),
    ("realnvp", "imagenet32", "checkerboard-even", realnvp(4, 32, 4), 46.2),
    ("realnvp", "imagenet64", "checkerboard-even", realnvp(5, 32, 2), 96.4),
    ("glow", "cifar10", "channel", glow(3, 32), 44.1),
    ("glow", "imagenet32", "channel", glow(3, 48), 66.2),
    ("glow", "imagenet64", "channel", glow(4, 48), 111.4),
    ("iresnet", "cifar10", "rows", iresnet(), 25.0),
    ("resflow", "cifar10", "none", resflow(16, (3, 12, 48), 3072), 25.2),
    ("resflow", "cifar10", "channel", resflow(16, (3, 6, 12), 768), 16.6),
    ("resflow", "imagenet32", "none", resflow(32, (3, 12, 48), 3072), 47.1),
    ("resflow", "imagenet64", "channel", resflow(32, (12, 24, 48), 3072), 53.3),
]
"""Parameters of the released shapes, and millions as published, which for Glow leave out the edge
channels."""


@pytest.mark.slow_on("glow-imagenet", "resflow-imagenet")
@pytest.mark.parametrize(("flow", "dataset", "factorization", "count", "millions"), COUNTS)
def test_a_paper_model_has_the_parameters_of_the_released_one(
    flow: str,
    dataset: str,
    factorization: str,
    count: int,
    millions: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(NormedMap, "iterate", lambda *_: 0)  # it takes time even without data
    with torch.device("meta"):
        built = build(catalog.recipe(flow, dataset, "paper").model, factorization, seed=0)
    assert sum(p.numel() for p in built.parameters() if p.requires_grad) == count
    assert count == pytest.approx(millions * 1e6, rel=0.01)


def glow_rate(step: int) -> float:
    """train.py counts images by the batch for 32x32 at every size: 64 on each of 8 GPUs."""
    return 0.001 * min(1.0, step * 512 / (50_000 * 10))


def iresnet_rate(step: int) -> float:
    """utils_cifar.py: the warm-up of one epoch is applied in the second one too."""
    return 0.003 * min(step, 2 * 391 - 1) / 391


EPOCH = math.ceil(50_000 / 512)
SCHEDULES: dict[tuple[str, str], tuple[str, tuple[float, float], Callable[[int], float]]] = {
    ("realnvp", "cifar10"): ("Adam", (0.9, 0.999), lambda step: 0.001),
    ("realnvp", "celeba64-float"): ("Adam", (0.9, 0.999), lambda step: 0.001),
    ("glow", "cifar10"): ("Adamax", (0.9, 1 - 1 / EPOCH), glow_rate),
    ("glow", "imagenet64"): ("Adamax", (0.9, 1 - 1 / EPOCH), glow_rate),
    ("iresnet", "cifar10"): ("Adamax", (0.9, 0.999), iresnet_rate),
    ("resflow", "cifar10"): ("Adam", (0.9, 0.99), lambda step: 0.001 * min(1, (step + 1) / 1000)),
}
"""Optimizer, betas and the rate at a step, from 0."""


def make_trainer(recipe: Recipe) -> Trainer:
    """Return a trainer with the recipe's optimization, a small batch and a small model."""
    sizes: dict[str, Any] = {"width": 4}
    sizes |= {"steps": 1} if recipe.model.flow == "glow" else {"blocks": 1}
    flow = recipe.model.flow
    model = catalog.recipe(flow, "digits", "tiny", {"model": {"architecture": sizes}}).model
    images = np.random.RandomState(0).randint(0, 256, (4, 1, 8, 8)).astype(np.uint8)
    return Trainer(
        flow=build(model, "random", seed=0),
        optimization=recipe.optimization.model_copy(update={"batch": 2}),
        seed=0,
        images=Images(images, torch.device("cpu")),
    )


@pytest.mark.parametrize(("flow", "dataset"), SCHEDULES)
def test_a_paper_recipe_has_the_schedule_of_the_released_one(flow: str, dataset: str) -> None:
    """Ours is at most one step ahead: Glow and i-ResNet begin with a rate of zero."""
    optimizer, betas, released = SCHEDULES[flow, dataset]
    trainer = make_trainer(catalog.recipe(flow, dataset, "paper"))
    trainer.start()
    assert type(trainer.optimizer).__name__ == optimizer
    for step in (0, 1, 300, 390, 391, 781, 782, 976, 977, 999, 1000, 50_000):
        trainer.step = step
        trainer.make_step()
        (group,) = trainer.optimizer.param_groups
        assert group["betas"] == pytest.approx(betas, abs=1e-5)
        assert released(step) * (1 - 1e-3) < group["lr"] < released(step + 1) * (1 + 2e-3), step


def small_paper(flow: str, **sizes: int) -> Any:
    override = {"model": {"architecture": sizes}}
    return build(catalog.recipe(flow, "cifar10", "paper", override).model, "random", seed=0)


def test_realnvp_starts_as_released() -> None:
    """`conv_layer`: directions up to sqrt(2 / channels), magnitudes k / sqrt(6), biases 0."""
    flow = small_paper("realnvp", width=32, blocks=1)
    convs = [m for m in flow.modules() if isinstance(m, NormalizedConv)]
    assert {c.direction.shape[-1] for c in convs} == {1, 3}
    for layer in convs:
        direction, kernel = layer.direction.detach(), layer.direction.shape[-1]
        bound = math.sqrt(2 / direction.shape[1])
        assert 0.95 * bound < float(direction.abs().max()) <= bound
        assert float(direction.std()) == pytest.approx(bound / math.sqrt(3), rel=0.15)
        assert layer.bias is None or not layer.bias.detach().any()
        magnitude = kernel / math.sqrt(6) if layer.magnitude.requires_grad else 1.0
        assert torch.allclose(layer.magnitude, torch.tensor(magnitude))
    scales = {(type(x), float(x.scale.detach())) for x in flow.layers if hasattr(x, "scale")}
    assert scales == {(CheckerboardCoupling, 0.0), (ChannelCoupling, 1.0)}


def test_glow_starts_as_released() -> None:
    """`conv2d`: N(0, .05); `conv2d_zeros` and `prior`: zeros, with a border and a gain."""
    flow = small_paper("glow", width=32, steps=1)
    convs = [m for m in flow.modules() if isinstance(m, GainedConv)]
    for layer in convs:
        if layer.started_by_data:
            assert float(layer.weight.detach().std()) == pytest.approx(0.05, rel=0.1)
        else:
            assert not any(p.detach().any() for p in layer.parameters())
    assert sum(not layer.started_by_data for layer in convs) == 3 + 2, "couplings and splits"
    assert isinstance(flow.prior, PlaceNormal)
    assert {n: tuple(p.shape) for n, p in flow.prior.named_parameters()} == {
        "border": (96, 1, 3, 3),
        "shift": (96, 1, 1),
        "log_gain": (96, 1, 1),
    }
    assert not any(p.detach().any() for p in flow.prior.parameters())
