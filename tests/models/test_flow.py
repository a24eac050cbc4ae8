"""What every flow does under every factorization."""

import math
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from scipy.stats import norm
from torch import Tensor

from lcma.models import build, build_from_tables, build_nms
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling
from lcma.models.factorization import SplitTable, make_tables
from lcma.models.split import Split
from lcma.sweeps import catalog
from lcma.sweeps.architectures import RealNVPArchitecture
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Model
from tests.models.conftest import EXACT, LARGEST


def test_any_name_of_a_factorization_builds_its_flow() -> None:
    model = catalog.recipe("glow", "photos8", "tiny", {"model": {"splits": 2}}).model
    maps = [np.arange(model.channels * 64.0).reshape(model.channels, 8, 8)] * 2
    for names in (("low", "LL"), ("conventional", "channel"), ("high", "HH")):
        ids, expected = (build(model, name, seed=0, maps=maps).latent_ids for name in names)
        assert all(torch.equal(a, b) for a, b in zip(ids, expected, strict=True))
    with pytest.raises(ImpossibleError, match="the word LLH has 3 letters, the recipe has 2"):
        build(model, "LLH", seed=0, maps=maps)


def test_latents_hold_the_input_at_their_ids(table_case: Any) -> None:
    """In a flow whose layers change nothing. Half of the dimensions leave at each split."""
    flow = table_case.build_identity()
    with torch.no_grad():
        z = flow.layers[1](table_case.dequantize(flow, 2))[0].flatten(1)
        latents = flow.encode(table_case.images(2), table_case.noise())
    ids = [i.flatten() for i in flow.latent_ids]
    assert sorted(torch.cat(ids).tolist()) == list(range(flow.dimensions))
    splits = 0 if table_case.factorization == "none" else table_case.model.splits
    halves = [flow.dimensions >> k for k in range(1, splits + 1)]
    assert [len(i) for i in ids] == [*halves, flow.dimensions >> splits]
    assert [latent.shape[1:] for latent in latents] == flow.latent_shapes
    for latent, places in zip(latents, ids, strict=True):
        assert torch.allclose(latent.flatten(1), z[:, places], rtol=0, atol=1e-12)


def test_every_layer_is_inverted(case: Any) -> None:
    check_inverse(case, torch.float64)
    if case.model.flow in EXACT:
        check_inverse(case, torch.float32)


def check_inverse(case: Any, dtype: torch.dtype) -> None:
    """Invert each layer; in float32 an error is relative to the largest entry."""
    flow = case.build_perturbed(dtype)
    with torch.no_grad():
        z = case.dequantize(flow, 3)
        for layer in list(flow.layers)[1:]:
            if isinstance(layer, Split):
                halves = layer.cut(z)
                assert torch.equal(layer.join(*halves), z)
                z = halves[0]
                continue
            y, _ = layer(z)
            error = float((layer.inverse(y) - z).abs().max())
            largest = max(1.0, float(z.abs().max()), float(y.abs().max()))
            bound = 1e-10 if dtype is torch.float64 else 1e-5 * largest
            assert error < bound, type(layer).__name__
            z = y


def test_decode_gives_the_integer_images_back(case: Any) -> None:
    flow = case.build_perturbed()
    images = case.images()
    images[0, 0, 0, :2] = torch.tensor([0, 255])
    with torch.no_grad():
        latents = flow.encode(images, case.noise())
        assert torch.equal(flow.decode(latents), images.double())
        flipped = [z.flip(0) for z in latents]
        assert torch.equal(flow.decode(flipped), images.flip(0).double())


def test_an_identity_has_the_bits_of_a_standard_normal(case: Any) -> None:
    """8 + (ln(2 pi)/2 + E[x^2]/2) / ln 2, minus the logit's share if the recipe has one."""
    flow = case.build_identity()
    images = case.images(5)
    with torch.no_grad():
        x, contribution = flow.layers[1](case.dequantize(flow, 5))
        bits = flow.bits_per_dim(flow(images, case.noise()).log_prob)
    nats = 0.5 * math.log(2 * math.pi) + 0.5 * x.square().flatten(1).mean(1)
    if case.model.preprocess == "logit":
        nats = nats - contribution.flatten(1).mean(1)
    else:
        assert contribution is None
    assert torch.allclose(bits, 8 + nats / math.log(2), rtol=0, atol=1e-12)


def test_log_prior_is_that_of_every_latent_given_what_stayed(case: Any) -> None:
    """By its sampler: a prior is the density of the latents that it makes of standard noise."""
    flow = case.build_perturbed()
    with torch.no_grad():
        likelihood = flow(case.images(), case.noise())
        *latents, z = flow.encode(case.images(), case.noise())
        expected = find_log_density(flow.prior, z, None)
        for layer in reversed(list(flow.layers)):
            if isinstance(layer, Split):
                left = latents.pop()
                expected += find_log_density(layer.prior, left, z)
                z = layer.join(z, left)
            else:
                z = layer.inverse(z)
    assert torch.allclose(likelihood.log_prior, expected, rtol=1e-12, atol=1e-8)
    assert torch.equal(likelihood.log_prob, likelihood.log_det + likelihood.log_prior)


def find_log_density(prior: Any, z: Tensor, kept: Tensor | None) -> Tensor:
    """Return the log-density (B,) of a normal whose mean and scale the sampler shows."""
    mean = prior.sample(torch.zeros_like(z), kept)
    scale = prior.sample(torch.ones_like(z), kept) - mean
    return torch.from_numpy(norm.logpdf(z.numpy(), mean.numpy(), scale.numpy())).flatten(1).sum(1)


def test_saved_weights_give_equal_bits(large_case: Any) -> None:
    flow = large_case.build_perturbed(torch.float32)
    other = large_case.build(seed=9).eval()
    images = large_case.images()
    with torch.no_grad():
        expected = flow(images, large_case.noise()).log_prob
        assert not torch.equal(other(images, large_case.noise()).log_prob, expected)
        other.load_state_dict(flow.state_dict())
        assert torch.equal(other(images, large_case.noise()).log_prob, expected)
        latents = flow.encode(images, large_case.noise())
        assert torch.equal(other.decode(latents), flow.decode(latents))


def test_building_is_a_function_of_the_seed(large_case: Any) -> None:
    before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())
    first, again, other = large_case.build(1), large_case.build(1), large_case.build(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(np.random.get_state()) == numpy_before
    states = [flow.state_dict() for flow in (first, again, other)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_flows_that_differ_in_tables_start_from_equal_weights(split_case: Any) -> None:
    conventional = build(split_case.model, "checkerboard-even", seed=3)
    flow = split_case.build(3)
    ours, theirs = dict(flow.named_parameters()), dict(conventional.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_images_and_tables_of_another_shape_are_refused() -> None:
    model = LARGEST["glow"]
    tables = make_tables("rows", (model.channels, model.size, model.size), model.splits)
    flow = build_from_tables(model, tables, seed=0).eval()
    x = torch.zeros(2, model.channels, 2 * model.size, 2 * model.size)
    for method in (flow, flow.encode, flow.contributions):
        with pytest.raises(ValueError, match="images "):
            method(x)
    zeros = np.zeros_like(tables[0].kept)
    wrong = [tables[:1], (*tables, tables[-1]), tables[::-1], (SplitTable(zeros, zeros), tables[1])]
    for others in wrong:
        with pytest.raises(ValueError):
            build_from_tables(model, others, seed=0)


def test_samples_are_images_that_follow_the_generator(large_case: Any) -> None:
    m = large_case.model
    flow = large_case.build().eval()
    with torch.no_grad():
        images = flow.sample(4, large_case.noise())
        assert images.shape == (4, m.channels, m.size, m.size)
        assert float(images.min()) >= 0
        assert float(images.max()) <= 255
        assert torch.equal(images, images.round())
        assert torch.equal(flow.sample(4, large_case.noise()), images)
        assert not torch.equal(flow.sample(4), images)
        coldest = flow.sample(4, temperature=0)
        assert torch.equal(coldest, flow.sample(4, large_case.noise(), temperature=0))
        assert torch.equal(coldest[0], coldest[1])
        assert not torch.equal(images[0], images[1])


def test_samples_stay_in_range_at_a_high_temperature(nms_case: Any) -> None:
    flow = nms_case.build_perturbed(torch.float32)
    with torch.no_grad():
        images = flow.sample(50, nms_case.noise(), temperature=50.0)
    low, high = float(images.min()), float(images.max())
    assert 0 <= low <= high <= 255
    if nms_case.model.flow == "realnvp":  # its scales are bounded: nothing overflows
        assert (low, high) == (0, 255)


def test_nms_is_the_flow_without_splits(nms_case: Any) -> None:
    nms, flow = build_nms(nms_case.model, seed=2), build(nms_case.model, "none", seed=2)
    assert all(torch.equal(a, b) for a, b in zip(nms.parameters(), flow.parameters(), strict=True))
    assert not any(isinstance(layer, Split) for layer in nms.layers)


def find_parameters_without_effect(flow: Any, model: Model) -> set[str]:
    """Return the names of RealNVP's biases that the batch norm after them subtracts again.

    The released code has them too, and so do the published parameter counts.
    """
    architecture = model.architecture
    names: set[str] = set()
    if not isinstance(architecture, RealNVPArchitecture):
        return names
    if architecture.net_norm == "batch":
        endings = ("stem.bias", "conv2.bias", *(f"skips.{k}.bias" for k in range(10)))
        names |= {name for name, _ in flow.named_parameters() if name.endswith(endings)}
    if architecture.scale == "additive" and architecture.flow_norm == "batch":
        layers = enumerate(flow.layers)
        names |= {f"layers.{k}.net.out.bias" for k, x in layers if isinstance(x, ChannelCoupling)}
    return names


def test_every_parameter_learns(case: Any) -> None:
    """After two optimizer steps, since a scale of zero hides its net from the first."""
    flow = case.build().double().train()
    images = case.images(8)
    flow.initialize(images, case.noise())
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        flow.bits_per_dim(flow(images, case.noise()).log_prob).mean().backward()
        optimizer.step()
    unchanged = {
        name
        for name, p in flow.named_parameters()
        if p.requires_grad and (p.grad is None or float(p.grad.abs().max()) < 1e-12)
    }
    assert unchanged == find_parameters_without_effect(flow, case.model)


def test_the_shrunk_parameters_are_magnitudes_and_checkerboard_scales(nms_case: Any) -> None:
    flow = nms_case.build()
    shrunk = flow.shrunk_parameters()
    expected = {
        id(p)
        for layer in flow.layers
        for name, p in layer.named_parameters()
        if p.requires_grad
        and (
            name.endswith("magnitude")
            or (name == "scale" and isinstance(layer, CheckerboardCoupling))
        )
    }
    assert {id(p) for p in shrunk} == expected
    assert len(shrunk) == len(expected)


@pytest.mark.slow_on("glow")
@pytest.mark.parametrize("flow", ["realnvp", "glow"])
def test_a_paper_model_at_the_start_gives_a_photograph_back(flow: str) -> None:
    """Within rounding: float32 can cross the edge of an integer."""
    recipe = catalog.recipe(flow, "cifar10", "paper")
    photograph = torch.from_numpy(skimage.data.astronaut()[:64, 200:264]).permute(2, 0, 1)
    crops = photograph.unfold(1, 32, 32).unfold(2, 32, 32).permute(1, 2, 0, 3, 4).flatten(0, 1)
    assert crops[0].double().std() > 10
    paper_flow = build(recipe.model, catalog.flows()[flow], seed=0).train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        paper_flow.initialize(crops, generator)
        paper_flow.eval()
        decoded = paper_flow.decode(paper_flow.encode(crops[:1], generator))
    error = (decoded - crops[:1]).abs()
    assert float(error.max()) <= 1
    assert float((error > 0).double().mean()) < 0.01
