"""Likelihoods, inverses and gradients of every flow under factorizations of each kind."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from lcma import models
from lcma.harness.measure.wasserstein import sliced_wasserstein
from lcma.harness.train.devices import find_device_fault
from lcma.models import Flow
from lcma.models.split import Split
from lcma.sweeps.recipe import Model

pytestmark = pytest.mark.gpu

SMALL = {
    "realnvp": ("logit", {"width": 4, "blocks": 1, "flow_norm": "actnorm", "net_norm": "none"}),
    "glow": ("center", {"steps": 2, "width": 4}),
    "iresnet": ("center", {"blocks": 1, "width": 4, "eval_terms": 30}),
    "resflow": ("logit", {"blocks": 1, "width": 4, "coefficient": 0.9, "eval_terms": 30}),
}
FACTORIZATIONS = ("checkerboard-even", "channel", "random", "LH", "none")
CASES = [(flow, f) for flow in SMALL for f in FACTORIZATIONS]
EXACT = ("realnvp", "glow")


def built(flow: str, factorization: str, device: torch.device, dtype: torch.dtype) -> Flow:
    """Of 8x8 images with one channel and two splits; in evaluation mode, nothing at rest."""
    preprocess, architecture = SMALL[flow]
    content = {
        "flow": flow,
        "size": 8,
        "channels": 1,
        "splits": 2,
        "preprocess": preprocess,
        "architecture": architecture,
    }
    maps = list(np.random.RandomState(5).standard_normal((2, 1, 8, 8)))
    made = models.build(
        Model.model_validate(content),
        factorization,
        seed=0,
        maps=maps if factorization == "LH" else (),
    )
    noise = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, p in made.named_parameters():
            size = 0.02 if name.endswith("factors") or "prior" in name else 0.1
            p.add_(size * torch.randn(p.shape, generator=noise))
    made = made.to(device, dtype)
    made.initialize(images(16, device), torch.Generator(device).manual_seed(0))
    made.eval()
    made.before_evaluation()
    return made


def images(count: int, device: torch.device) -> Tensor:
    drawn = np.random.RandomState(7).randint(0, 256, (count, 1, 8, 8)).astype(np.uint8)
    return torch.from_numpy(drawn).to(device)


def continuous(flow: Flow, count: int, device: torch.device) -> Tensor:
    """Dequantized by the same noise on every device."""
    noise = torch.rand((count, 1, 8, 8), generator=torch.Generator().manual_seed(3)).to(device)
    x: Tensor = ((images(count, device) + noise) / 256).to(flow.dtype)
    return x


def latent(flow: Flow, x: Tensor) -> Tensor:
    """All latents of dequantized images, (B, D)."""
    found, z = [], x
    for layer in list(flow.layers)[1:]:
        if isinstance(layer, Split):
            z, left = layer.cut(z)
            found.append(left.flatten(1))
        else:
            z, _ = layer(z, torch.Generator(x.device).manual_seed(1))
    return torch.cat([*found, z.flatten(1)], dim=1)


def log_det(flow: Flow, x: Tensor, seed: int = 1) -> Tensor:
    """The sum of the contributions (B,), with probes by the seed."""
    generator, z = torch.Generator(x.device).manual_seed(seed), x
    total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
    for layer in list(flow.layers)[1:]:
        if isinstance(layer, Split):
            z, _ = layer.cut(z)
        else:
            z, contribution = layer(z, generator)
            if contribution is not None:
                total = total + contribution.flatten(1).sum(1)
    return total.detach()


@pytest.mark.parametrize(("flow", "factorization"), CASES)
def test_the_log_determinant_is_that_of_the_dense_jacobian(
    flow: str, factorization: str, device: torch.device
) -> None:
    made = built(flow, factorization, device, torch.float64)
    x = continuous(made, 1, device)
    jacobian = torch.autograd.functional.jacobian(lambda x: latent(made, x), x)
    dense = float(torch.linalg.slogdet(jacobian.reshape(64, 64))[1])
    if flow in EXACT:
        assert float(log_det(made, x)) == pytest.approx(dense, abs=1e-8)
        return
    # Independent probes for each copy of the image.
    found = log_det(made, x.expand(4000, -1, -1, -1)).cpu().numpy()
    error = found.std() / np.sqrt(len(found))
    assert error < 0.1
    assert abs(found.mean() - dense) < 4 * error + 1e-3


@pytest.mark.parametrize(("flow", "factorization"), CASES)
def test_a_device_agrees_with_the_cpu(flow: str, factorization: str, device: torch.device) -> None:
    """Latents of the same weights and noise in float64."""
    made = built(flow, factorization, device, torch.float64)
    other = copy.deepcopy(made).cpu()
    x = continuous(made, 3, device)
    found, expected = latent(made, x).detach().cpu(), latent(other, x.cpu()).detach()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("flow", "factorization"), CASES)
def test_decode_inverts_encode(flow: str, factorization: str, device: torch.device) -> None:
    made = built(flow, factorization, device, torch.float32)
    x = images(4, device)
    with torch.no_grad():
        latents = made.encode(x, torch.Generator(device).manual_seed(0))
        assert torch.equal(made.decode(latents), x)


@pytest.mark.parametrize(("flow", "factorization"), CASES)
def test_samples_are_images_drawn_on_the_device(
    flow: str, factorization: str, device: torch.device
) -> None:
    made = built(flow, factorization, device, torch.float32)

    def draw(seed: int) -> Tensor:
        with torch.no_grad():
            return made.sample(6, torch.Generator(device).manual_seed(seed))

    drawn = draw(0)
    assert drawn.device.type == device.type
    assert drawn.shape == (6, 1, 8, 8)
    assert bool(((drawn >= 0) & (drawn <= 255) & (drawn == drawn.round())).all())
    assert torch.equal(draw(0), drawn)
    assert not torch.equal(draw(1), drawn)


@pytest.mark.parametrize(("flow", "factorization"), CASES)
def test_the_image_without_noise_is_that_of_the_cpu(
    flow: str, factorization: str, device: torch.device
) -> None:
    """At temperature 0, since every device draws other noise."""
    made = built(flow, factorization, device, torch.float64)
    other = copy.deepcopy(made).cpu()
    with torch.no_grad():
        found, expected = (each.sample(2, temperature=0.0).cpu() for each in (made, other))
    torch.testing.assert_close(found, expected, rtol=0, atol=1)  # the last step is a floor


def test_the_distance_of_samples_is_that_on_a_cpu(device: torch.device) -> None:
    state = np.random.RandomState(3)
    both = [torch.from_numpy(state.randint(0, 256, (60, 3, 16, 16))).float() for _ in range(2)]
    expected = sliced_wasserstein(both[0], both[1] + 10, seed=0)
    found = sliced_wasserstein(both[0].to(device), both[1].to(device) + 10, seed=0)
    assert found.value == pytest.approx(expected.value, rel=1e-4)
    assert found.standard_error == pytest.approx(expected.standard_error, rel=1e-2)
    assert found == sliced_wasserstein(both[0].to(device), both[1].to(device) + 10, seed=0)


def test_a_good_device_can_multiply(device: torch.device) -> None:
    assert find_device_fault(device) == ""
