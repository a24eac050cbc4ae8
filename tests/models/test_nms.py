"""The flow without splits in its two forms, swapped masks, and the order inside a half."""

from functools import partial

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
FORMS = ("squeezed", "flat")


def flow_of(form: str) -> models.Flow:
    flow = models.build_nms(MODEL, seed=0, form=form).double()
    perturb(flow)
    return flow.eval()


CASE = Case(MODEL, "none")


@pytest.mark.parametrize("form", FORMS)
def test_maps_of_both_forms_are_log_determinants(form: str) -> None:
    flow = flow_of(form)
    layers = list(flow.layers)
    x = layers[1](CASE.continuous(flow))[0]
    ends = [k for k, layer in enumerate(layers) if layer.ends_block]
    with torch.no_grad():
        found = flow.contributions(CASE.images(1), CASE.noise())
    assert len(found.at_splits) == MODEL.splits
    assert torch.equal(
        flow.decode(flow.encode(CASE.images(), CASE.noise())), CASE.images().double()
    )
    if form == "flat":
        assert flow.latent_shapes == [torch.Size(flow.shape)]
    for at_split, end in zip([*found.at_splits, found.total], [*ends, len(layers)], strict=True):
        jacobian = dense_jacobian(partial(latents_of, layers[2:end]), x)
        assert log_det_error(at_split, jacobian) < 1e-9
        assert log_det_error(1.01 * at_split, jacobian) > 1e-3


ADDITIVE = {
    name: model
    for name, model in CONFIGURATIONS.items()
    if getattr(model.architecture, "scale", None) == "additive"
}


@pytest.mark.parametrize("name", ["realnvp-actnorm-none-logit", *ADDITIVE])
def test_a_map_of_additive_couplings_is_one_pattern_for_all_windows_and_images(name: str) -> None:
    """Only normalizations and 1x1 convolutions contribute: a constant for each squeezed channel."""
    sizes = {"size": 16, "splits": 2}
    case = Case(CONFIGURATIONS[name].model_copy(update=sizes), "none")
    flow = models.build_nms(case.model, seed=0).double()
    perturb(flow)
    with torch.no_grad():
        found = flow.eval().contributions(case.images(), case.noise())
    for split, values in enumerate(found.at_splits, start=1):
        period = 2**split
        pattern = values[:1, :, :period, :period].repeat(1, 1, 16 // period, 16 // period)
        same = torch.allclose(values, pattern.expand_as(values), rtol=0, atol=1e-12)
        assert same == (name in ADDITIVE), split
        assert float(pattern.std()) > 1e-3, "and it is not flat: LCMA still ranks something"


@pytest.mark.parametrize("form", FORMS)
def test_values_at_the_splits_are_those_of_the_dimensions(form: str) -> None:
    """They move as the ids do."""
    flow = flow_of(form)
    with torch.no_grad():
        found = flow.contributions(CASE.images(), CASE.noise())
        z = CASE.images()
        ids, seen = flow.ids(), 0
        for layer in flow.layers:
            if layer.ends_block:
                expected = torch.empty(3, flow.dimensions, dtype=torch.float64)
                expected[:, ids.flatten()] = z.flatten(1)
                assert torch.equal(found.values_at_splits[seen].flatten(1), expected)
                seen += 1
            z, _ = layer(z, CASE.noise())
            ids = layer.reorder(ids)
    assert seen == MODEL.splits


def test_values_at_the_splits_of_a_split_flow(split: Case) -> None:
    """Dimensions that have left keep the value with which they left: the latents."""
    flow = split.lively()
    with torch.no_grad():
        found = flow.contributions(split.images(), split.noise())
        latents = flow.encode(split.images(), split.noise())
    last = found.values_at_splits[-1].flatten(1)
    for latent, ids in zip(latents[:-1], flow.latent_ids[:-1], strict=True):
        assert torch.equal(last[:, ids.flatten()], latent.flatten(1))


def swapped(model: Model) -> Model:
    return model.model_copy(update={"architecture": model.architecture.swapped})


def test_swapped_masks_change_the_other_colour_first() -> None:
    def colours(model: Model) -> list[int]:
        flow = models.build_nms(model, seed=0)
        found = [c for c in flow.layers if isinstance(c, CheckerboardCoupling)]
        return [int(c.changed[0, 0, 0, 1]) for c in found]

    plain, other = colours(MODEL), colours(swapped(MODEL))
    assert plain[0] == 1, "the released code changes odd positions first"
    assert other == [1 - colour for colour in plain]
    assert swapped(swapped(MODEL)) == MODEL


def test_ranks_decide_the_order_inside_a_half_and_nothing_else() -> None:
    values = np.random.RandomState(0).normal(size=(2, 4, 4))
    by_raster, by_rank = table_from_map(values, "L"), table_from_map(values, "L", "rank")
    flat = values.ravel()
    for raster, rank in ((by_raster.kept, by_rank.kept), (by_raster.left, by_rank.left)):
        first, second = rank.reshape(2, 2, 2, 2)
        assert (flat[first] > flat[second]).all()
        assert np.array_equal(np.sort(np.stack([first, second]), axis=0).reshape(4, 2, 2), raster)
    assert not np.array_equal(by_raster.kept, by_rank.kept)
