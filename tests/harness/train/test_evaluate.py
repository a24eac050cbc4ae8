"""Bits/dim by a protocol, its bound and bias, and contribution maps, compared with plain loops."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from lcma.harness.averages import Floats, clustered_mean
from lcma.harness.seeds import derive_seed
from lcma.harness.train import contribution
from lcma.harness.train.batches import Images
from lcma.harness.train.contribution import MeasuredMap, measure_maps
from lcma.harness.train.evaluate import (
    evaluate,
    replace_estimator,
    residual_blocks,
    sample_bound,
    series_bias,
)
from lcma.harness.train.protocol import (
    PLAIN,
    Protocol,
    find_protocol,
    published_protocol,
)
from lcma.models import Flow, build, build_nms
from lcma.models.residual import ResidualBlock
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Model
from tests.harness.train.conftest import CPU, make_pixels

COUNT = 130
"""More images than one chunk of 100, and not a multiple of it."""

PRECISE = Protocol(name="precise", precision="float64")

SMALLEST: dict[str, Any] = {
    "realnvp": {"width": 4, "flow_norm": "batch", "net_norm": "batch"},
    "glow": {"width": 4, "steps": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 1, "fc_width": 4},
}
RESIDUAL = ("iresnet", "resflow")


def make_model(flow: str) -> Model:
    override = {"model": {"architecture": SMALLEST[flow]}}
    return catalog.recipe(flow, "photos8", "tiny", override).model


def make_flow(name: str, *, split: bool = True) -> Flow:
    """Build a flow with data-dependent starting values, and move its weights away from them."""
    model = make_model(name)
    flow = build(model, "checkerboard-even", seed=0) if split else build_nms(model, seed=0)
    generator = torch.Generator().manual_seed(0)
    flow.initialize(torch.from_numpy(make_pixels(32, channels=3)), generator)
    with torch.no_grad():
        for parameter in flow.parameters():
            if parameter.dim() > 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for block in residual_blocks(flow):
            _make_steep(block)
    flow.before_step()
    return flow


def _make_steep(block: ResidualBlock) -> None:
    """Make the last map the first one's adjoint: large eigenvalues, all of one sign."""
    first, middle, last = block.net.normed
    kernel = first.weight.transpose(0, 1)
    last.weight.copy_(3 * (kernel.flip(2, 3) if kernel.dim() == 4 else kernel))
    middle.weight.copy_(3 * torch.eye(len(middle.weight)).view_as(middle.weight))
    first.weight.mul_(3)


@pytest.fixture(scope="module")
def flows() -> dict[str, Flow]:
    return {name: make_flow(name) for name in SMALLEST}


@pytest.fixture
def flow(flows: dict[str, Flow]) -> Flow:
    """Real NVP with batch norms, in training mode."""
    return copy.deepcopy(flows["realnvp"])


@pytest.fixture(scope="module")
def images() -> Images:
    return Images(make_pixels(COUNT, channels=3), CPU)


def take_first(images: Images, count: int) -> Images:
    return Images(images.gather(np.arange(count)).numpy(), CPU)


def draw_chunks(images: Images, *purpose: Any) -> list[tuple[torch.Tensor, torch.Generator]]:
    """Return the images of each chunk, and the generator of its noise for a purpose."""
    chunks = np.split(np.arange(len(images)), range(100, len(images), 100))
    seeds = [derive_seed(*purpose, int(indices[0])) for indices in chunks]
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return list(zip(map(images.gather, chunks), generators, strict=True))


@torch.no_grad()
def naive_log_probs(flow: Flow, images: Images, draw: int = 0, seed: int = 0) -> Floats:
    """Return log p of each image in float64, from the model's own parts."""
    flow = copy.deepcopy(flow).double().eval()
    flow.before_evaluation()
    chunks = draw_chunks(images, seed, "evaluate", draw)
    return torch.cat([flow(x, generator).log_prob for x, generator in chunks]).numpy()


def naive_bits(flow: Flow, images: Images, draw: int = 0, seed: int = 0) -> Floats:
    return -naive_log_probs(flow, images, draw, seed) / (flow.dimensions * math.log(2))


def test_the_mean_over_images(flow: Flow, images: Images) -> None:
    evaluation = evaluate(flow, images, PRECISE)
    bits = naive_bits(flow, images)
    assert evaluation.bits_per_dim.value == pytest.approx(np.mean(bits), abs=1e-12)
    error = np.std(bits, ddof=1) / math.sqrt(COUNT)
    assert evaluation.bits_per_dim.standard_error == pytest.approx(error, rel=1e-9)
    assert evaluation.bits_per_dim.count == COUNT
    parts = -(evaluation.log_det + evaluation.log_prior) / (flow.dimensions * math.log(2))
    assert parts == pytest.approx(evaluation.bits_per_dim.value, abs=1e-12)
    assert evaluation.log_det != evaluation.log_prior


def test_draws_are_averaged_image_by_image(flow: Flow, images: Images) -> None:
    protocol = Protocol(name="three", draws=3, precision="float64", seed=5)
    mean = evaluate(flow, images, protocol).bits_per_dim
    by_draw = np.array([naive_bits(flow, images, draw, seed=5) for draw in range(3)])
    assert mean.value == pytest.approx(by_draw.mean(), abs=1e-12)
    error = by_draw.mean(0).std(ddof=1) / math.sqrt(COUNT)
    assert mean.standard_error == pytest.approx(error, rel=1e-9)
    assert len({round(float(m), 9) for m in by_draw.mean(1)}) == 3, "the draws differ"


def test_clusters_change_only_the_error(flow: Flow, images: Images) -> None:
    groups = np.repeat(np.arange(13, dtype=np.int32), 10)
    clustered = evaluate(flow, images, PRECISE, groups).bits_per_dim
    independent = evaluate(flow, images, PRECISE).bits_per_dim
    assert clustered.value == independent.value
    error = clustered_mean(naive_bits(flow, images), groups).standard_error
    assert clustered.standard_error == pytest.approx(error, rel=1e-9)
    assert clustered.standard_error != pytest.approx(independent.standard_error, rel=1e-3)
    assert (clustered.clusters, independent.clusters) == (13, None)


@pytest.mark.parametrize("name", ["realnvp", "glow"])
def test_the_bound_is_the_log_of_the_mean_likelihood(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    flow = flows[name]
    bits, gain = sample_bound(flow, images, PRECISE, 4)
    log_probs = np.array([naive_log_probs(flow, images, draw) for draw in range(4)])
    scale = flow.dimensions * math.log(2)
    expected = -(logsumexp(log_probs, axis=0) - math.log(4)).mean() / scale
    assert bits == pytest.approx(expected, abs=1e-10)
    assert gain == pytest.approx(-log_probs[0].mean() / scale - expected, abs=1e-10)
    assert abs(gain) > 1e-6, "the draws differ"


def test_protocols_are_those_of_the_papers() -> None:
    settings = ("draws", "terms", "roulette_mean", "probe", "sigma")
    published = {name: published_protocol(make_model(name)) for name in SMALLEST}
    assert {
        name: tuple(getattr(protocol, setting) for setting in settings)
        for name, protocol in published.items()
    } == {
        "realnvp": (1, None, None, "rademacher", "converged"),
        "glow": (1, None, None, "rademacher", "converged"),
        "iresnet": (1, 3, None, "gaussian", "training"),
        "resflow": (1, 8, 2.0, "gaussian", "converged"),
    }
    assert find_protocol("plain", make_model("resflow")) is PLAIN


def test_a_protocols_body_leaves_out_defaults_of_residual_blocks() -> None:
    assert PLAIN.body == '{"draws":1,"name":"plain","precision":"float32","seed":0}'
    bodies = {name: published_protocol(make_model(name)).body for name in SMALLEST}
    assert '"terms":3' in bodies["iresnet"]
    assert '"sigma":"training"' in bodies["iresnet"]
    assert "terms" not in bodies["glow"]
    assert "sigma" not in bodies["resflow"]


@torch.no_grad()
def test_the_published_i_resnet_keeps_the_sigma_of_training(
    flows: dict[str, Flow], images: Images
) -> None:
    """The latents, and so the prior, are of the weights that the last step's vectors normalize."""
    flow = flows["iresnet"]
    published = published_protocol(make_model("iresnet")).model_copy(
        update={"precision": "float64"}
    )
    log_prior = evaluate(flow, images, published).log_prior
    as_trained = copy.deepcopy(flow).double().eval()
    chunks = draw_chunks(images, 0, "evaluate", 0)
    expected = torch.cat([as_trained(x, generator).log_prior for x, generator in chunks]).mean()
    assert log_prior == pytest.approx(float(expected), abs=1e-9)
    assert abs(log_prior - evaluate(flow, images, PRECISE).log_prior) > 1e-4, "iteration moves it"


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_recipes_own_series_given_explicitly_changes_nothing(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    flow, explicit = flows[name], PLAIN.model_copy(update={"terms": 8})
    assert replace_estimator(explicit, flow) is not flow
    assert replace_estimator(PLAIN, flow) is flow
    plain = evaluate(flow, images, PLAIN)
    assert evaluate(flow, images, explicit) == plain
    other = published_protocol(make_model(name)).model_copy(update={"sigma": "converged"})
    assert evaluate(flow, images, other).log_det != plain.log_det


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_bias_is_the_difference_at_twice_the_terms(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    flow, images = copy.deepcopy(flows[name]), take_first(images, 110)
    short = PRECISE.model_copy(update={"terms": 2})
    clustered = series_bias(flow, images, short, np.repeat(np.arange(11, dtype=np.int32), 10))
    independent = series_bias(flow, images, short)
    by_terms = {}
    for terms in (2, 4):
        for block in residual_blocks(flow):
            block.eval_terms = terms
        by_terms[terms] = naive_bits(flow, images)
    biases = by_terms[2] - by_terms[4]
    assert clustered.value == independent.value == pytest.approx(biases.mean(), rel=1e-9)
    assert (clustered.count, clustered.clusters) == (110, 11)
    error = biases.std(ddof=1) / math.sqrt(110)
    assert independent.standard_error == pytest.approx(error, rel=1e-9)
    assert abs(independent.value) > 4 * error, "two terms are too few here"


@pytest.mark.parametrize("name", SMALLEST)
def test_the_flow_is_left_as_it_was_even_by_a_failure(flows: dict[str, Flow], name: str) -> None:
    flow = flows[name]
    flow.train()
    before = {key: value.clone() for key, value in flow.state_dict().items()}
    double = published_protocol(make_model(name)).model_copy(update={"precision": "float64"})
    wrong = Images(np.zeros((3, 1, 8, 8), dtype=np.uint8), CPU)
    with pytest.raises((RuntimeError, ValueError)):
        evaluate(flow, wrong, double)
    assert all(module.training for module in flow.modules())
    for key, value in flow.state_dict().items():
        assert value.dtype == before[key].dtype
        assert torch.equal(value, before[key]), key


def test_another_estimator_leaves_the_layers_of_a_loaded_flow_in_evaluation(
    flows: dict[str, Flow], images: Images
) -> None:
    """They are shared with the flow that has it."""
    flow = copy.deepcopy(flows["iresnet"]).eval()
    evaluate(flow, images, published_protocol(make_model("iresnet")))
    assert not any(module.training for module in flow.modules())


# Contribution maps


@torch.no_grad()
def naive_maps(flow: Flow, images: Images) -> list[Floats]:
    """Return the contributions before each split, (N, 3, 8, 8)."""
    flow.eval()
    chunks = draw_chunks(images, 0, "map")
    by_chunk = [flow.contributions(x, generator).at_splits for x, generator in chunks]
    return [torch.cat(parts).double().numpy() for parts in zip(*by_chunk, strict=True)]


def measure_cumulative_maps(*arguments: Any) -> list[MeasuredMap]:
    return [m for m in measure_maps(*arguments) if m.score == "cumulative"]


@pytest.fixture(scope="module")
def unsplit() -> Flow:
    return make_flow("realnvp", split=False)


def test_maps_are_the_mean_over_images(unsplit: Flow, images: Images) -> None:
    maps = measure_cumulative_maps(unsplit, images)
    assert [measured.split for measured in maps] == [1, 2]
    for measured, rows in zip(maps, naive_maps(unsplit, images), strict=True):
        assert measured.values.dtype == measured.standard_errors.dtype == np.float32
        assert measured.values.shape == (3, 8, 8)
        np.testing.assert_allclose(measured.values, rows.mean(0), rtol=1e-6, atol=1e-7)
        errors = rows.std(0, ddof=1) / math.sqrt(COUNT)
        np.testing.assert_allclose(measured.standard_errors, errors, rtol=1e-4, atol=1e-7)
        assert (measured.images, measured.clusters) == (COUNT, None)
        assert float(np.abs(measured.values).max()) > 0.05
    assert not np.allclose(maps[0].values, maps[1].values, atol=1e-3)


def test_maps_are_of_the_first_images(
    unsplit: Flow, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contribution, "MAX_IMAGES", 50)
    capped = measure_cumulative_maps(unsplit, images, np.arange(COUNT))
    monkeypatch.undo()
    fewer = measure_cumulative_maps(unsplit, take_first(images, 50))
    for first, second in zip(capped, fewer, strict=True):
        assert (first.images, first.clusters) == (50, 50)
        assert np.array_equal(first.values, second.values)
