"""Protocols, the K-sample bound and the bias of the series, against plain loops."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.special import logsumexp

from lcma.harness.seeds import derive_seed
from lcma.harness.train.batches import Images
from lcma.harness.train.evaluate import (
    evaluate,
    replace_estimator,
    residual_blocks,
    sample_bound,
    series_bias,
)
from lcma.harness.train.protocol import (
    PLAIN,
    PROTOCOL_NAMES,
    Protocol,
    find_protocol,
    published_protocol,
)
from lcma.models import Flow, build
from lcma.models.residual import ResidualBlock
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Model

COUNT = 130
"""More than one chunk of 100, and no multiple of it."""

PRECISE = Protocol(name="precise", precision="float64")

SMALLEST: dict[str, Any] = {
    "realnvp": {"width": 4},
    "glow": {"width": 4, "steps": 1},
    "iresnet": {"width": 4, "blocks": 1},
    "resflow": {"width": 4, "blocks": 1, "fully_connected": 1, "fc_width": 4},
}
RESIDUAL = ("iresnet", "resflow")


def make_model(flow: str) -> Model:
    override = {"model": {"architecture": SMALLEST[flow]}}
    return catalog.recipe(flow, "photos8", "tiny", override).model


def pixels(count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    state = np.random.RandomState(0)
    base = state.randint(40, 200, (count, 3, 1, 1))
    return np.clip(base + state.normal(0, 15, (count, 3, 8, 8)), 0, 255).astype(np.uint8)


def make_flow(name: str) -> Flow:
    """With data-dependent starting values, and weights away from where they start."""
    flow = build(make_model(name), "checkerboard-even", seed=0)
    generator = torch.Generator().manual_seed(0)
    flow.initialize(torch.from_numpy(pixels(32)), generator)
    with torch.no_grad():
        for parameter in flow.parameters():
            if parameter.dim() > 1:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for block in residual_blocks(flow):
            _make_steep(block)
    flow.before_step()
    return flow


def _make_steep(block: ResidualBlock) -> None:
    """The last map is the first one's adjoint: large eigenvalues, all of one sign."""
    take_first, middle, last = block.net.normed
    kernel = take_first.weight.transpose(0, 1)
    last.weight.copy_(3 * (kernel.flip(2, 3) if kernel.dim() == 4 else kernel))
    middle.weight.copy_(3 * torch.eye(len(middle.weight)).view_as(middle.weight))
    take_first.weight.mul_(3)


@pytest.fixture(scope="module")
def flows() -> dict[str, Flow]:
    return {name: make_flow(name) for name in SMALLEST}


@pytest.fixture(scope="module")
def images() -> Images:
    return Images(pixels(COUNT), torch.device("cpu"))


def take_first(images: Images, count: int) -> Images:
    return Images(images.gather(np.arange(count)).numpy(), torch.device("cpu"))


@torch.no_grad()
def log_probs(flow: Flow, images: Images, draw: int, count: int) -> list[float]:
    """In float64, from the model's own parts."""
    flow = copy.deepcopy(flow).double().eval()
    flow.before_evaluation()
    values: list[float] = []
    for start in range(0, count, 100):
        generator = torch.Generator().manual_seed(derive_seed(0, "evaluate", draw, start))
        x = images.gather(np.arange(start, min(start + 100, count)))
        values += flow(x, generator).log_prob.tolist()
    return values


@pytest.mark.parametrize("name", ["realnvp", "glow"])
def test_the_bound_is_the_log_of_the_mean_likelihood(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    flow = flows[name]
    bits, gain = sample_bound(flow, take_first(images, 110), PRECISE, 4)
    each = np.array([log_probs(flow, images, draw, 110) for draw in range(4)])
    scale = flow.dimensions * math.log(2)
    expected = -(logsumexp(each, axis=0) - math.log(4)).mean() / scale
    assert bits == pytest.approx(expected, abs=1e-10)
    assert gain == pytest.approx(-each[0].mean() / scale - expected, abs=1e-10)
    assert abs(gain) > 1e-6, "the draws differ"


def test_protocols_are_those_of_the_papers() -> None:
    assert PROTOCOL_NAMES == ("plain", "published")
    names = ("draws", "terms", "roulette_mean", "probe", "sigma")
    protocols = {
        n: tuple(getattr(published_protocol(make_model(n)), s) for s in names) for n in SMALLEST
    }
    assert protocols == {
        "realnvp": (1, None, None, "rademacher", "converged"),
        "glow": (1, None, None, "rademacher", "converged"),
        "iresnet": (1, 3, None, "gaussian", "training"),
        "resflow": (1, 8, 2.0, "gaussian", "converged"),
    }
    assert find_protocol("plain", make_model("resflow")) is PLAIN
    assert '"terms":3' in published_protocol(make_model("iresnet")).body
    assert '"sigma":"training"' in published_protocol(make_model("iresnet")).body
    assert "terms" not in published_protocol(make_model("glow")).body
    assert "sigma" not in PLAIN.body
    assert "sigma" not in published_protocol(make_model("resflow")).body
    with pytest.raises(ValidationError):
        Protocol(name="x", draws=0)


@torch.no_grad()
def test_the_published_i_resnet_keeps_the_sigma_of_training(
    flows: dict[str, Flow], images: Images
) -> None:
    """The latents, and so the prior, are of the weights that the last step's vectors normalize."""
    flow = flows["iresnet"]
    published = published_protocol(make_model("iresnet")).model_copy(
        update={"precision": "float64"}
    )
    found = evaluate(flow, images, published).log_prior
    as_trained = copy.deepcopy(flow).double().eval()
    expected = []
    for start in range(0, COUNT, 100):
        generator = torch.Generator().manual_seed(derive_seed(0, "evaluate", 0, start))
        x = images.gather(np.arange(start, min(start + 100, COUNT)))
        expected += as_trained(x, generator).log_prior.tolist()
    assert found == pytest.approx(np.mean(expected), abs=1e-9)
    assert abs(found - evaluate(flow, images, PRECISE).log_prior) > 1e-4, "iteration moves it"


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_recipes_own_series_said_aloud_changes_nothing(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    aloud = PLAIN.model_copy(update={"terms": 8})
    assert replace_estimator(aloud, flows[name]) is not flows[name]
    assert replace_estimator(PLAIN, flows[name]) is flows[name]
    other = published_protocol(make_model(name)).model_copy(update={"sigma": "converged"})
    assert (
        evaluate(flows[name], images, other).log_det != evaluate(flows[name], images, PLAIN).log_det
    )
    assert evaluate(flows[name], images, aloud) == evaluate(flows[name], images, PLAIN)


@pytest.mark.parametrize("name", RESIDUAL)
def test_the_bias_is_the_difference_at_twice_the_terms(
    flows: dict[str, Flow], images: Images, name: str
) -> None:
    flow = copy.deepcopy(flows[name])
    short = PRECISE.model_copy(update={"terms": 2})
    groups = np.repeat(np.arange(11, dtype=np.int32), 10)
    found = series_bias(flow, take_first(images, 110), short, groups)
    assert found is not None
    by_terms = {}
    for terms in (2, 4):
        for block in residual_blocks(flow):
            block.eval_terms = terms
        by_terms[terms] = np.array(log_probs(flow, images, 0, 110))
    each = (by_terms[4] - by_terms[2]) / (flow.dimensions * math.log(2))
    assert found.value == pytest.approx(each.mean(), rel=1e-9)
    assert (found.count, found.clusters) == (110, 11)
    alone = series_bias(flow, take_first(images, 110), short)
    assert alone is not None
    error = each.std(ddof=1) / math.sqrt(110)
    assert alone.standard_error == pytest.approx(error, rel=1e-9)
    assert abs(alone.value) > 4 * error, "two terms are too few here"


def test_where_there_is_no_series_there_is_no_bias(flows: dict[str, Flow], images: Images) -> None:
    """Nor with roulette."""
    assert series_bias(flows["glow"], images, PLAIN) is None
    assert series_bias(flows["resflow"], images, published_protocol(make_model("resflow"))) is None
    assert series_bias(flows["resflow"], images, PLAIN) is not None


@pytest.mark.parametrize("name", SMALLEST)
def test_the_flow_is_left_as_it_was_even_by_a_failure(flows: dict[str, Flow], name: str) -> None:
    flow = flows[name]
    flow.train()
    before = {key: value.clone() for key, value in flow.state_dict().items()}
    double = published_protocol(make_model(name)).model_copy(update={"precision": "float64"})
    wrong = Images(np.zeros((3, 1, 8, 8), dtype=np.uint8), torch.device("cpu"))
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
