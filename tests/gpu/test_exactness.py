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
from tests.models.test_contributions import latents_of

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


def build_perturbed(
    name: str, factorization: str, device: torch.device, dtype: torch.dtype
) -> Flow:
    """Build a flow of 8x8 images with one channel and two splits, with no weight at zero."""
    preprocess, architecture = SMALL[name]
    content = {
        **{"flow": name, "size": 8, "channels": 1, "splits": 2},
        **{"preprocess": preprocess, "architecture": architecture},
    }
    model = Model.model_validate(content)
    maps = list(np.random.RandomState(5).standard_normal((2, 1, 8, 8)))
    maps = maps if factorization == "LH" else []
    flow = models.build(model, factorization, seed=0, maps=maps)
    noise = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for key, p in flow.named_parameters():
            size = 0.02 if key.endswith("factors") or "prior" in key else 0.1
            p.add_(size * torch.randn(p.shape, generator=noise))
    flow = flow.to(device, dtype)
    flow.initialize(draw_images(16, device), torch.Generator(device).manual_seed(0))
    flow.eval()
    flow.before_evaluation()
    return flow


def draw_images(count: int, device: torch.device) -> Tensor:
    values = np.random.RandomState(7).randint(0, 256, (count, 1, 8, 8)).astype(np.uint8)
    return torch.from_numpy(values).to(device)


def dequantize(flow: Flow, count: int, device: torch.device) -> Tensor:
    """Return images with the same noise on every device."""
    noise = torch.rand((count, 1, 8, 8), generator=torch.Generator().manual_seed(3)).to(device)
    x: Tensor = ((draw_images(count, device) + noise) / 256).to(flow.dtype)
    return x


def find_latents(flow: Flow, x: Tensor) -> Tensor:
    """Return all latents of dequantized images, (B, D)."""
    return latents_of(list(flow.layers)[1:], x)


def find_log_det(flow: Flow, x: Tensor) -> Tensor:
    """Return the sum of the contributions (B,)."""
    generator, z = torch.Generator(x.device).manual_seed(1), x
    total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
    for layer in list(flow.layers)[1:]:
        if isinstance(layer, Split):
            z, _ = layer.cut(z)
        else:
            z, contribution = layer(z, generator)
            if contribution is not None:
                total = total + contribution.flatten(1).sum(1)
    return total.detach()


@pytest.mark.parametrize(("name", "factorization"), CASES)
def test_the_log_determinant_is_that_of_the_dense_jacobian(
    name: str, factorization: str, device: torch.device
) -> None:
    flow = build_perturbed(name, factorization, device, torch.float64)
    x = dequantize(flow, 1, device)
    jacobian = torch.autograd.functional.jacobian(lambda x: find_latents(flow, x), x)
    dense = float(torch.linalg.slogdet(jacobian.reshape(64, 64))[1])
    if name in EXACT:
        assert float(find_log_det(flow, x)) == pytest.approx(dense, abs=1e-8)
        return
    # Each copy of the image has probes of its own.
    estimates = find_log_det(flow, x.expand(4000, -1, -1, -1)).cpu().numpy()
    error = estimates.std() / np.sqrt(len(estimates))
    assert error < 0.1
    assert abs(estimates.mean() - dense) < 4 * error + 1e-3


@pytest.mark.parametrize(("name", "factorization"), CASES)
def test_a_device_agrees_with_the_cpu(name: str, factorization: str, device: torch.device) -> None:
    """Latents of the same weights and noise in float64."""
    flow = build_perturbed(name, factorization, device, torch.float64)
    copy_on_cpu = copy.deepcopy(flow).cpu()
    x = dequantize(flow, 3, device)
    with torch.no_grad():
        latents = find_latents(flow, x).cpu()
        expected = find_latents(copy_on_cpu, x.cpu())
    torch.testing.assert_close(latents, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "factorization"), CASES)
def test_decode_inverts_encode(name: str, factorization: str, device: torch.device) -> None:
    flow = build_perturbed(name, factorization, device, torch.float32)
    x = draw_images(4, device)
    with torch.no_grad():
        latents = flow.encode(x, torch.Generator(device).manual_seed(0))
        assert torch.equal(flow.decode(latents), x)


@pytest.mark.parametrize(("name", "factorization"), CASES)
def test_samples_are_images_drawn_on_the_device(
    name: str, factorization: str, device: torch.device
) -> None:
    flow = build_perturbed(name, factorization, device, torch.float32)

    def draw(seed: int) -> Tensor:
        with torch.no_grad():
            return flow.sample(6, torch.Generator(device).manual_seed(seed))

    images = draw(0)
    assert images.device.type == device.type
    assert images.shape == (6, 1, 8, 8)
    assert bool(((images >= 0) & (images <= 255) & (images == images.round())).all())
    assert torch.equal(draw(0), images)
    assert not torch.equal(draw(1), images)


@pytest.mark.parametrize(("name", "factorization"), CASES)
def test_the_image_without_noise_is_that_of_the_cpu(
    name: str, factorization: str, device: torch.device
) -> None:
    """At temperature 0, since every device draws other noise."""
    flow = build_perturbed(name, factorization, device, torch.float64)
    copy_on_cpu = copy.deepcopy(flow).cpu()
    with torch.no_grad():
        images, expected = (f.sample(2, temperature=0.0).cpu() for f in (flow, copy_on_cpu))
    torch.testing.assert_close(images, expected, rtol=0, atol=1)  # the last step is a floor


def test_the_distance_of_samples_is_that_on_a_cpu(device: torch.device) -> None:
    values = np.random.RandomState(3).randint(0, 256, (2, 60, 3, 16, 16))
    first, second = torch.from_numpy(values).float()
    second += 10
    expected = sliced_wasserstein(first, second, seed=0)
    distance = sliced_wasserstein(first.to(device), second.to(device), seed=0)
    assert distance.value == pytest.approx(expected.value, rel=1e-4)
    assert distance.standard_error == pytest.approx(expected.standard_error, rel=1e-2)
    assert distance == sliced_wasserstein(first.to(device), second.to(device), seed=0)


def test_a_good_device_can_multiply(device: torch.device) -> None:
    assert find_device_fault(device) == ""
