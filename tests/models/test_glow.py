"""Glow: its coupling, the order of its layers, and the shares of its 1x1 convolutions."""

from typing import Any

import pytest
import torch

from lcma.models import build, build_nms
from lcma.models.conv1x1 import InvertibleConv1x1, use_share
from lcma.models.glow import GlowCoupling, Scale
from lcma.models.layers import Center, Dequantize, PassAll, Squeeze, Unsqueeze
from lcma.models.norm import ChannelNorm
from lcma.models.priors import ConditionalNormal, LearnedNormal
from lcma.models.split import Split
from lcma.sweeps import catalog
from lcma.sweeps.factorizations import ImpossibleError
from tests.models.conftest import draw

MODEL = catalog.recipe("glow", "photos16", "tiny", {"model": {"preprocess": "center"}}).model
STEP = [ChannelNorm, InvertibleConv1x1, GlowCoupling]


@pytest.mark.parametrize("factorization", ["channel", "none"])
def test_the_layers_in_order(factorization: str) -> None:
    steps = MODEL.architecture.model_dump()["steps"]
    flow = build(MODEL, factorization, seed=0)
    end = PassAll if factorization == "none" else Split
    block = [Squeeze, *(STEP * steps), Unsqueeze, end]
    expected = [Dequantize, Center, *(block * MODEL.splits), *block[:-2]]
    assert [type(layer) for layer in flow.layers] == expected
    for layer in flow.layers:
        if isinstance(layer, Split):
            assert isinstance(layer.prior, ConditionalNormal)
    assert isinstance(flow.prior, LearnedNormal)


@pytest.mark.parametrize("kind", ["exp", "sigmoid", "additive"])
def test_a_coupling_by_its_definition(kind: Scale) -> None:
    layer = GlowCoupling(6, width=5, scale=kind).double()
    x = draw(21, 3, 6, 4, 4)
    with torch.no_grad():
        for seed, parameter in enumerate(layer.net.last.parameters()):
            parameter.add_(0.1 * draw(seed, *parameter.shape))
        layer.initialize(draw(20, 8, 6, 4, 4))
        y, contribution = layer(x)
        h = layer.net(x[:, :3])
        if kind == "additive":
            shift, scale = h, torch.ones(3, 3, 4, 4)
        else:
            shift, raw = h[:, 0::2], h[:, 1::2]
            scale = raw.exp() if kind == "exp" else torch.sigmoid(raw + 2)
        expected = torch.cat([x[:, :3], (x[:, 3:] + shift) * scale], 1)
    assert torch.allclose(y, expected, rtol=0, atol=1e-12)
    assert float(shift.std()) > 0.01
    if kind == "additive":
        assert contribution is None
        return
    assert torch.allclose(contribution[:, 3:], scale.log(), rtol=0, atol=1e-12)
    assert not contribution[:, :3].any()
    assert float(scale.std()) > 0.01


def test_there_is_no_flat_glow() -> None:
    with pytest.raises(ImpossibleError, match="glow has no flat form"):
        build_nms(MODEL, seed=0, form="flat")


def test_glow_trains_after_an_evaluation_in_inference_mode() -> None:
    flow, images = build(MODEL, "channel", seed=0), torch.zeros(2, 3, 16, 16)
    with torch.inference_mode():
        flow(images)
    flow(images).log_prob.sum().backward()


def test_shares_change_the_map_and_not_the_likelihood(nms_case: Any) -> None:
    """They change within a block, and so not in the last contributions."""
    flow, images = nms_case.build_perturbed(), nms_case.images(1)
    has_shares = any(isinstance(layer, InvertibleConv1x1) for layer in flow.layers)
    changed = []
    with torch.no_grad():
        for share in ("sorted", "uniform"):
            with use_share(flow, share):
                changed.append(flow.contributions(images, nms_case.noise()))
        plain = flow.contributions(images, nms_case.noise())
    for contributions in changed:
        assert float(contributions.log_det) == pytest.approx(float(plain.log_det), abs=1e-9)
        assert torch.allclose(contributions.total, plain.total, atol=1e-3) != has_shares
