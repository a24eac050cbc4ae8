"""i-ResNet and Residual Flow as whole models."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lcma.models import Flow, build
from lcma.models.lipschitz import NormedConv, NormedLinear
from lcma.models.norm import ChannelNorm
from lcma.models.resflow import DimensionNorm
from lcma.models.residual import Activation, ResidualBlock, conv_net
from lcma.models.split import Split
from lcma.sweeps.recipe import Model
from tests.models.conftest import make_model
from tests.models.test_contributions import dense_jacobian, latents_of

DENSE = {"size": 8, "channels": 1, "fully_connected": 2}
MODELS = {
    "i-ResNet": make_model("iresnet", "center", size=8, channels=1),
    "Residual Flow": make_model("resflow", "logit", **DENSE),
    "Residual Flow, squeezed": make_model("resflow", "logit", squeeze_first=True, **DENSE),
}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS[request.param]


@torch.no_grad()
def build_perturbed(model: Model, factorization: str) -> Flow:
    """Build a flow in float64 and evaluation mode, with large norms."""
    flow = build(model, factorization, seed=0).double().eval()
    for layer in flow.modules():
        if isinstance(layer, NormedConv | NormedLinear):
            layer.weight.mul_(3)
        if isinstance(layer, ChannelNorm):
            layer.log_scale.normal_(0, 0.1)
            layer.shift.normal_(0, 0.1)
    flow.before_evaluation()
    return flow


@pytest.mark.slow_on("conventional", "none", "[Residual Flow-random]")
@pytest.mark.parametrize("factorization", ["conventional", "random", "none"])
def test_the_exact_series_sums_to_the_dense_log_determinant(
    model: Model, factorization: str
) -> None:
    """The contributions of all layers; those of a block over every probe of a basis."""
    if factorization == "conventional":
        factorization = "rows" if model.flow == "iresnet" else "channel"
    flow = build_perturbed(model, factorization)
    x = torch.randn(1, 1, 8, 8, dtype=torch.float64)
    jacobian = dense_jacobian(partial(latents_of, list(flow.layers)[2:]), x)
    expected = float(torch.linalg.slogdet(jacobian).logabsdet)
    total, of_blocks, z = 0.0, 0.0, x
    with torch.no_grad():
        for layer in list(flow.layers)[2:]:
            if isinstance(layer, Split):
                z = layer.cut(z)[0]
                continue
            if isinstance(layer, ResidualBlock):
                size = z.numel()
                probes = math.sqrt(size) * torch.eye(size, dtype=z.dtype).view(-1, *z.shape[1:])
                copies = z.expand(size, -1, -1, -1)
                log_det = float(layer.estimate(copies, [probes], [1.0] * 400)[1].sum()) / size
                total, of_blocks, z = total + log_det, of_blocks + abs(log_det), layer(z)[0]
                continue
            z, contribution = layer(z)
            total += 0.0 if contribution is None else float(contribution.sum())
    assert total == pytest.approx(expected, abs=1e-9)
    assert of_blocks > 1e-2


def test_layers_follow_the_published_order() -> None:
    def names(model: Model) -> list[str]:
        return [type(layer).__name__ for layer in build(model, "rows", seed=0).layers]

    iresnet = ["ChannelNorm", "ResidualBlock"] * 2
    assert names(MODELS["i-ResNet"])[2:] == (
        ["Squeeze", *iresnet, "Unsqueeze", "Split", "Squeeze", *iresnet]
    )
    block, dense = ["ResidualBlock", "ChannelNorm"] * 2, ["ResidualBlock", "DimensionNorm"] * 2
    assert names(MODELS["Residual Flow"])[2:] == ["ChannelNorm", *block, "Split", *block, *dense]
    assert names(MODELS["Residual Flow, squeezed"])[2:] == (
        ["Squeeze", "ChannelNorm", *block, "Unsqueeze", "Split", "Squeeze", *block, *dense]
    )


@pytest.mark.parametrize("factorization", ["rows", "none"])
def test_spectral_norms_are_those_of_images_of_the_size_that_blocks_get(
    model: Model, factorization: str
) -> None:
    """The norm of a convolution depends on the size."""
    flow, z = build(model, factorization, seed=0), torch.rand(2, 1, 8, 8)
    for layer in flow.layers:
        if isinstance(layer, Split):
            z, _ = layer.cut(z)
            continue
        if isinstance(layer, ResidualBlock):
            first = next(layer.net.normed)
            expected = z.shape[1:] if isinstance(first, NormedConv) else z[0].flatten().shape
            assert first.v.shape[1:] == expected
        z, _ = layer(z)


def test_only_the_very_first_block_has_no_nonlinearity_in_front(model: Model) -> None:
    flow = build(model, "rows", seed=0)
    first = [layer.net.first for layer in flow.layers if isinstance(layer, ResidualBlock)]
    assert first == [True] + [False] * (len(first) - 1)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("activation", ["elu", "lipswish"])
def test_g_is_three_maps_behind_nonlinearities(activation: Activation, first: bool) -> None:
    net = conv_net(2, 4, 5, 0.9, activation, first=first).double()

    def nonlinear(h: Tensor) -> Tensor:
        if activation == "elu":
            return torch.where(h > 0, h, h.exp() - 1)
        return h * torch.sigmoid(math.log1p(math.exp(0.5)) * h) / 1.1

    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    h = x
    for k, layer in enumerate(net.normed):
        h = h if first and k == 0 else nonlinear(h)
        h = F.conv2d(h, layer.normalized(), layer.bias, padding=(1, 0, 1)[k])
    assert torch.allclose(net(x), h, atol=1e-12)


def test_the_norm_of_dimensions_starts_each_at_mean_zero_and_variance_one() -> None:
    norm = DimensionNorm(2 * 4 * 4).double()
    x = 3 * torch.randn(500, 2, 4, 4, dtype=torch.float64) + torch.randn(2, 4, 4)
    norm.initialize(x)
    with torch.no_grad():
        y, contribution = norm(x)
    assert float(y.mean(0).abs().max()) < 1e-9
    assert float((y.var(0, correction=0) - 1).abs().max()) < 1e-5
    expected = -x.var(0, correction=0).log() / 2
    assert torch.allclose(contribution[0], expected, atol=1e-6)
    assert torch.allclose(norm.inverse(y), x, atol=1e-12)
