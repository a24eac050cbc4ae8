"""What every flow does under every factorization."""

import math
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from scipy.stats import norm
from torch import Tensor

from lcma.models import build, build_nms
from lcma.models.coupling import ChannelCoupling
from lcma.models.split import Split
from lcma.sweeps import catalog
from lcma.sweeps.architectures import RealNVPArchitecture
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Model
from tests.models.conftest import EXACT


def test_any_name_of_a_factorization_builds_its_flow() -> None:
    model = catalog.recipe("glow", "photos8", "tiny", {"model": {"splits": 2}}).model
    maps = [np.arange(model.channels * 64.0).reshape(model.channels, 8, 8)] * 2
    for name, canonical_name in (("low", "LL"), ("conventional", "channel"), ("high", "HH")):
        flow, expected = (build(model, n, seed=0, maps=maps) for n in (name, canonical_name))
        assert all(
            torch.equal(a, b) for a, b in zip(flow.latent_ids, expected.latent_ids, strict=True)
        )
    with pytest.raises(ImpossibleError, match="the word LLH has 3 letters, the recipe has 2"):
        build(model, "LLH", seed=0, maps=maps)


def test_latents_are_a_permutation_of_the_input(tabled: Any) -> None:
    flow = tabled.build()
    m = tabled.model
    ids = [i.flatten() for i in flow.latent_ids]
    assert sorted(torch.cat(ids).tolist()) == list(range(flow.dimensions))
    if tabled.factorization == "none":
        assert [len(i) for i in ids] == [flow.dimensions]
    else:
        halves = [flow.dimensions >> k for k in range(1, m.splits + 1)]
        assert [len(i) for i in ids] == [*halves, halves[-1]]
    latents = flow.eval().encode(tabled.images(2), tabled.noise())
    assert [z.shape[1:] for z in latents] == flow.latent_shapes


def test_latent_ids_say_where_each_dimension_went(tabled: Any) -> None:
    """In a flow whose layers change nothing, a latent holds the input at the ids it names."""
    flow = tabled.idle()
    with torch.no_grad():
        z = flow.layers[1](tabled.continuous(flow, 2))[0].flatten(1)
        latents = flow.encode(tabled.images(2), tabled.noise())
    for latent, ids in zip(latents, flow.latent_ids, strict=True):
        assert torch.allclose(latent.flatten(1), z[:, ids.flatten()], rtol=0, atol=1e-12)


def test_every_layer_is_inverted(case: Any) -> None:
    check_inverse(case, torch.float64)
    if case.model.flow in EXACT:
        check_inverse(case, torch.float32)


def check_inverse(case: Any, dtype: torch.dtype) -> None:
    """In float32 relative to the largest entry."""
    flow = case.lively(dtype)
    with torch.no_grad():
        z = case.continuous(flow, 3)
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
    flow = case.lively()
    images = case.images()
    images[0, 0, 0, :2] = torch.tensor([0, 255])
    with torch.no_grad():
        latents = flow.encode(images, case.noise())
        assert torch.equal(flow.decode(latents), images.double())
        swapped = [z.flip(0) for z in latents]
        assert torch.equal(flow.decode(swapped), images.flip(0).double())


def test_an_idle_flow_has_the_bits_of_a_standard_normal(case: Any) -> None:
    """8 + (ln(2 pi)/2 + E[x^2]/2) / ln 2, minus the logit's share if the recipe has one."""
    flow = case.idle()
    images = case.images(5)
    with torch.no_grad():
        x, contribution = flow.layers[1](case.continuous(flow, 5))
        bits = flow.bits_per_dim(flow(images, case.noise()).log_prob)
    nats = 0.5 * math.log(2 * math.pi) + 0.5 * x.square().flatten(1).mean(1)
    if case.model.preprocess == "logit":
        nats = nats - contribution.flatten(1).mean(1)
    else:
        assert contribution is None
    assert torch.allclose(bits, 8 + nats / math.log(2), rtol=0, atol=1e-12)


def test_log_prior_is_that_of_every_latent_given_what_stayed(case: Any) -> None:
    """By its sampler: a prior is the density of the latents that it makes of standard noise."""
    flow = case.lively()
    with torch.no_grad():
        likelihood = flow(case.images(), case.noise())
        latents = flow.encode(case.images(), case.noise())
        expected = torch.zeros(len(case.images()), dtype=torch.float64)
        z = latents[-1]
        for layer in [None, *reversed(list(flow.layers))]:
            if layer is None:
                expected += _density(flow.prior, z, None)
            elif isinstance(layer, Split):
                left = latents[-1 - sum(isinstance(x, Split) for x in _from(flow, layer))]
                expected += _density(layer.prior, left, z)
                z = layer.join(z, left)
            else:
                z = layer.inverse(z)
    assert torch.allclose(likelihood.log_prior, expected, rtol=1e-12, atol=1e-8)
    assert torch.equal(likelihood.log_prob, likelihood.log_det + likelihood.log_prior)


def _from(flow: Any, layer: Any) -> list[Any]:
    """A layer and those after it."""
    layers = list(flow.layers)
    return layers[next(k for k, found in enumerate(layers) if found is layer) :]


def _density(prior: Any, z: Tensor, kept: Tensor | None) -> Tensor:
    """Log-density (B,) of a normal whose mean and scale the sampler shows."""
    mean = prior.sample(torch.zeros_like(z), kept)
    scale = prior.sample(torch.ones_like(z), kept) - mean
    return torch.from_numpy(norm.logpdf(z.numpy(), mean.numpy(), scale.numpy())).flatten(1).sum(1)


def test_saved_weights_give_equal_bits(factorized: Any) -> None:
    flow = factorized.lively(torch.float32)
    other = factorized.build(seed=9, table_seed=9).eval()
    images = factorized.images()
    with torch.no_grad():
        expected = flow(images, factorized.noise()).log_prob
        assert not torch.equal(other(images, factorized.noise()).log_prob, expected)
        other.load_state_dict(flow.state_dict())
        assert torch.equal(other(images, factorized.noise()).log_prob, expected)
        latents = flow.encode(images, factorized.noise())
        assert torch.equal(other.decode(latents), flow.decode(latents))


def test_building_is_a_function_of_the_seed(factorized: Any) -> None:
    before, numpy_before = torch.get_rng_state(), repr(np.random.get_state())
    first, again, other = factorized.build(1), factorized.build(1), factorized.build(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(np.random.get_state()) == numpy_before
    states = [flow.state_dict() for flow in (first, again, other)]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert any(not torch.equal(states[0][k], states[2][k]) for k in states[0])


def test_flows_that_differ_in_tables_start_from_equal_weights(split: Any) -> None:
    conventional = build(split.model, "checkerboard-even", seed=3)
    flow = split.build(3, table_seed=8)
    ours, theirs = dict(flow.named_parameters()), dict(conventional.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


def test_the_table_seed_moves_random_tables_alone(tabled: Any) -> None:
    first, other = tabled.build(3, table_seed=1), tabled.build(3, table_seed=2)
    moved = [k for k, v in first.state_dict().items() if not torch.equal(v, other.state_dict()[k])]
    if tabled.factorization.startswith("random"):
        assert moved
        assert all(k.endswith(("index", "inverse_index")) for k in moved)
    else:
        assert moved == []


def test_samples(factorized: Any) -> None:
    m = factorized.model
    flow = factorized.build().eval()
    with torch.no_grad():
        drawn = flow.sample(4, factorized.noise())
        assert drawn.shape == (4, m.channels, m.size, m.size)
        assert float(drawn.min()) >= 0
        assert float(drawn.max()) <= 255
        assert torch.equal(drawn, drawn.round())
        assert torch.equal(flow.sample(4, factorized.noise()), drawn)
        assert not torch.equal(flow.sample(4), drawn)
        coldest = flow.sample(4, temperature=0)
        assert torch.equal(coldest, flow.sample(4, factorized.noise(), temperature=0))
        assert torch.equal(coldest[0], coldest[1])
        assert not torch.equal(drawn[0], drawn[1])


def test_samples_stay_in_range_however_hot(unsplit: Any) -> None:
    flow = unsplit.lively(torch.float32)
    with torch.no_grad():
        drawn = flow.sample(50, unsplit.noise(), temperature=50.0)
    low, high = float(drawn.min()), float(drawn.max())
    assert 0 <= low <= high <= 255
    if unsplit.model.flow == "realnvp":  # its scales are bounded: nothing overflows
        assert (low, high) == (0, 255)


def test_nms_is_the_flow_without_splits(unsplit: Any) -> None:
    one, other = build_nms(unsplit.model, seed=2), build(unsplit.model, "none", seed=2)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not any(isinstance(layer, Split) for layer in one.layers)


def _without_effect(flow: Any, model: Model) -> set[str]:
    """Names of RealNVP's biases that the batch norm after them subtracts again.

    The released code has them too, and so do the published parameter counts.
    """
    architecture = model.architecture
    if not isinstance(architecture, RealNVPArchitecture):
        return set()
    idle: set[str] = set()
    if architecture.net_norm == "batch":
        endings = ("stem.bias", "conv2.bias", *(f"skips.{k}.bias" for k in range(10)))
        idle |= {name for name, _ in flow.named_parameters() if name.endswith(endings)}
    if architecture.scale == "additive" and architecture.flow_norm == "batch":
        layers = enumerate(flow.layers)
        idle |= {f"layers.{k}.net.out.bias" for k, x in layers if isinstance(x, ChannelCoupling)}
    return idle


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
    sizes = {
        name: 0.0 if p.grad is None else float(p.grad.abs().max())
        for name, p in flow.named_parameters()
        if p.requires_grad
    }
    idle = {name for name, size in sizes.items() if size < 1e-12}
    assert idle == _without_effect(flow, case.model)


def test_the_shrunk_parameters_are_magnitudes_and_checkerboard_scales(unsplit: Any) -> None:
    flow = unsplit.build()
    shrunk = {id(p) for p in flow.shrunk_parameters()}
    channels = [x for x in flow.layers if isinstance(x, ChannelCoupling)]
    channel_scales = {id(p) for x in channels for n, p in x.named_parameters() if n == "scale"}
    expected = {
        id(p)
        for name, p in flow.named_parameters()
        if p.requires_grad
        and (
            name.endswith("magnitude") or (name.endswith(".scale") and id(p) not in channel_scales)
        )
    }
    assert shrunk == expected
    assert len(flow.shrunk_parameters()) == len(shrunk)


@pytest.mark.slow_on("glow")
@pytest.mark.parametrize("flow", ["realnvp", "glow"])
def test_a_paper_model_at_the_start_gives_a_photograph_back(flow: str) -> None:
    """Within rounding: float32 can cross the edge of an integer."""
    model = catalog.recipe(flow, "cifar10", "paper").model
    photograph = torch.from_numpy(skimage.data.astronaut()[:64, 200:264]).permute(2, 0, 1)
    crops = photograph.unfold(1, 32, 32).unfold(2, 32, 32).permute(1, 2, 0, 3, 4).flatten(0, 1)
    built = build(model, catalog.flows()[flow], seed=0).train()

    def noise() -> torch.Generator:
        return torch.Generator().manual_seed(0)

    with torch.no_grad():
        built.initialize(crops, noise())
        built.eval()
        found = built.decode(built.encode(crops[:1], noise()))
    off = (found - crops[:1]).abs()
    assert float(off.max()) <= 1
    assert float((off > 0).double().mean()) < 0.01
    assert crops[0].double().std() > 10
