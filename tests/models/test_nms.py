"""The flow without splits in its two forms, swapped masks, and the order inside a half."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from lcma import models
from lcma.models.coupling import CheckerboardCoupling
from lcma.models.factorization import table_from_map
from lcma.sweeps.recipe import Model
from tests.models.conftest import CONFIGURATIONS, Case, perturb
from tests.models.test_contributions import dense_jacobian, latents_of, log_det_error

MODEL = CONFIGURATIONS["realnvp-actnorm-none-logit"]
CASE = Case(MODEL, "none")
FORMS = ("squeezed", "flat")


def build_perturbed(model: Model, form: str = "squeezed") -> models.Flow:
    flow = models.build_nms(model, seed=0, form=form).double()
    perturb(flow)
    return flow.eval()


@pytest.mark.parametrize("form", FORMS)
def test_maps_of_both_forms_are_log_determinants(form: str) -> None:
    flow = build_perturbed(MODEL, form)
    layers = list(flow.layers)
    x = layers[1](CASE.dequantize(flow))[0]
    ends = [k for k, layer in enumerate(layers) if layer.ends_block]
    with torch.no_grad():
        contributions = flow.contributions(CASE.images(1), CASE.noise())
        decoded = flow.decode(flow.encode(CASE.images(), CASE.noise()))
    assert torch.equal(decoded, CASE.images().double())
    if form == "flat":
        assert flow.latent_shapes == [torch.Size(flow.shape)]
    assert len(contributions.at_splits) == MODEL.splits
    maps = [*contributions.at_splits, contributions.total]
    for values, end in zip(maps, [*ends, len(layers)], strict=True):
        jacobian = dense_jacobian(partial(latents_of, layers[2:end]), x)
        assert log_det_error(values, jacobian) < 1e-9
        assert log_det_error(1.01 * values, jacobian) > 1e-3


ADDITIVE = {
    name: model
    for name, model in CONFIGURATIONS.items()
    if getattr(model.architecture, "scale", None) == "additive"
}


@pytest.mark.parametrize("name", ["realnvp-actnorm-none-logit", *ADDITIVE])
def test_a_map_of_additive_couplings_is_one_pattern_for_all_windows_and_images(name: str) -> None:
    """Only normalizations and 1x1 convolutions contribute: a constant for each squeezed channel."""
    case = Case(CONFIGURATIONS[name].model_copy(update={"size": 16, "splits": 2}), "none")
    flow = build_perturbed(case.model)
    with torch.no_grad():
        contributions = flow.contributions(case.images(), case.noise())
    for split, values in enumerate(contributions.at_splits, start=1):
        period = 2**split
        pattern = values[:1, :, :period, :period].repeat(1, 1, 16 // period, 16 // period)
        repeats = torch.allclose(values, pattern.expand_as(values), rtol=0, atol=1e-12)
        assert repeats == (name in ADDITIVE), split
        assert float(pattern.std()) > 1e-3, "it is not flat: LCMA still ranks something"


@pytest.mark.parametrize("form", FORMS)
def test_values_at_the_splits_are_those_of_the_dimensions(form: str) -> None:
    flow = build_perturbed(MODEL, form)
    with torch.no_grad():
        values = flow.contributions(CASE.images(), CASE.noise()).values_at_splits
        z, ids = CASE.images(), flow.ids()
        for layer in flow.layers:
            if layer.ends_block:
                expected = torch.empty(3, flow.dimensions, dtype=torch.float64)
                expected[:, ids.flatten()] = z.flatten(1)
                assert torch.equal(values.pop(0).flatten(1), expected)
            z, _ = layer(z, CASE.noise())
            ids = layer.reorder(ids)
    assert values == []


def test_values_at_the_splits_of_a_split_flow(split_case: Case) -> None:
    """Dimensions that have left keep the value with which they left: the latents."""
    flow = split_case.build_perturbed()
    with torch.no_grad():
        contributions = flow.contributions(split_case.images(), split_case.noise())
        latents = flow.encode(split_case.images(), split_case.noise())
    last = contributions.values_at_splits[-1].flatten(1)
    for latent, ids in zip(latents[:-1], flow.latent_ids[:-1], strict=True):
        assert torch.equal(last[:, ids.flatten()], latent.flatten(1))


def test_swapped_masks_change_the_other_colour_first() -> None:
    def colours(architecture: Any) -> list[int]:
        model = MODEL.model_copy(update={"architecture": architecture})
        layers = models.build_nms(model, seed=0).layers
        return [int(c.changed[0, 0, 0, 1]) for c in layers if isinstance(c, CheckerboardCoupling)]

    plain = colours(MODEL.architecture)
    assert plain[0] == 1, "the released code changes odd positions first"
    assert colours(MODEL.architecture.swapped) == [1 - colour for colour in plain]
    assert MODEL.architecture.swapped.swapped == MODEL.architecture


def test_ranks_decide_the_order_inside_a_half_and_nothing_else() -> None:
    values = np.random.RandomState(0).normal(size=(2, 4, 4))
    by_raster, by_rank = table_from_map(values, "L"), table_from_map(values, "L", "rank")
    flat = values.ravel()
    for raster, rank in ((by_raster.kept, by_rank.kept), (by_raster.left, by_rank.left)):
        first, second = rank.reshape(2, 2, 2, 2)
        assert (flat[first] > flat[second]).all()
        assert np.array_equal(np.sort(np.stack([first, second]), axis=0).reshape(4, 2, 2), raster)
    assert not np.array_equal(by_raster.kept, by_rank.kept)
