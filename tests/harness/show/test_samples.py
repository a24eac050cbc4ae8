"""A trained flow comes back from its weights alone, and draws the same images again."""

import json

import numpy as np
import pytest
import torch

import lcma
from lcma import db
from lcma.harness.measure.features import LITE0
from lcma.harness.measure.samples import SampleProtocol, Sampling
from lcma.harness.place import Place
from lcma.harness.results.lookup import find_trial_id, read_whole_sets, require_results
from lcma.harness.show.samples import draw_samples
from lcma.harness.show.targets import PictureFormat, PictureTarget
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, EVALUATOR
from tests.db.measuring import find_done_attempt
from tests.harness.show import svg
from tests.harness.show.conftest import RECIPE, STEPS


@pytest.fixture
def place(filler):
    return Place(filler.url, filler.runs, filler.folder / "data")


def load_flow(filler, place, path):
    """The flow and the recipe of the trial whose weights are at this path."""
    return lcma.load_flow(filler.store, path.parent.name, runs=place.runs)


@pytest.mark.parametrize("factorization", ["channel", "random", "LH", "none"])
def test_the_flow_that_was_trained_comes_back(filler, place, factorization):
    path = filler.weights(factorization, 3, budget=100 if factorization == "LH" else None)
    flow, recipe = load_flow(filler, place, path)
    trained = filler.flow(factorization, 3)
    assert recipe.model == RECIPE.model
    assert not flow.training
    assert [t.tolist() for t in flow.latent_ids] == [t.tolist() for t in trained.latent_ids]
    x = torch.from_numpy(np.random.default_rng(1).integers(0, 256, size=(4, 3, 16, 16)))
    log_prob, expected = (f(x, torch.Generator().manual_seed(0)).log_prob for f in (flow, trained))
    assert torch.equal(log_prob, expected)


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(filler, place, temperature):
    filler.weights("channel", 0)
    with pytest.raises(UserError, match="makes no sense"):
        captions(filler, place, count=1, temperature=temperature)


def test_a_start_of_an_id_that_names_no_trial_is_refused(filler):
    for seed in range(40):
        filler.plan("channel", seed)
    with pytest.raises(UserError, match="40 trials start with ''"):
        find_trial_id(filler.store, "")
    with pytest.raises(UserError, match="no trial starts with"):
        find_trial_id(filler.store, "\udcff")


def test_a_set_with_a_damaged_manifest_or_a_skipped_image_is_not_whole(filler):
    for digest, manifest in [("a" * 64, "[]"), ("b" * 64, "{"), ("c" * 64, '{"source": 3}')]:
        filler.data(digest, manifest=manifest)
    filler.data("e" * 64, manifest=json.dumps({"source": {"verdict": "official"}}))
    facts = {"source": {"verdict": "published counts, official list"}, "expected": {"train": 9}}
    for digest, count in (("f" * 64, 9), ("9" * 64, 8)):  # the latter skipped a bad image
        filler.data(digest, manifest=json.dumps(facts | {"counts": {"train": count}}))
    assert read_whole_sets(filler.store) == {"e" * 64, "f" * 64}


def measure(filler, path, protocol, **values):
    """Store measures of samples of a trial's weights by a protocol."""
    (job,) = filler.store.job_facts(trial_ids=[path.parent.name])
    result = db.Result(
        trial_id=job.subject,
        data_digest=job.data_digest,
        step=STEPS,
        protocol=protocol.name,
        protocol_body="{}" if protocol.name == "plain" else protocol.body,  # as `finish`
        precision="float32",
        measures=tuple(db.Measurement(name, value) for name, value in values.items()),
    )
    attempt_id = find_done_attempt(filler.store, job.job_id)
    assert filler.store.add_evaluation(
        job.job_id, result, attempt_id=attempt_id, by=EVALUATOR, cost=COST
    )


def captions(filler, place, **options) -> list[str]:
    """All text in the figures of the samples of all trials."""
    trials = filler.store.job_facts(trial_ids=filler.store.view("results").trial_id)
    target = PictureTarget(filler.folder / "out", PictureFormat.svg)
    drawn = draw_samples(filler.store, place, trials, target, **options)
    return [text for path in sorted({path for _, path in drawn}) for text in svg.texts(path)]


def sampled(**sampling) -> SampleProtocol:
    return SampleProtocol(sampling=Sampling(**sampling), extractor=LITE0)


def test_a_measure_is_by_the_plain_protocol_or_the_only_one(filler, place):
    path = filler.weights("channel", 0)
    measure(filler, path, sampled(samples=500), kid=15.8)
    measure(filler, path, SampleProtocol(), swd=158.0)
    measure(filler, path, SampleProtocol(sampling=Sampling(temperature=0.8)), swd=1.5)
    words = captions(filler, place, count=1)
    assert {"kid 15.8", "swd 158"} <= set(words)
    measure(filler, path, sampled(samples=100), kid=2.5)
    words = captions(filler, place, count=1)
    assert not [word for word in words if word.startswith("kid")], "two of equal standing"


def test_filters_find_a_measure_by_a_protocol_of_its_own(filler):
    protocol = sampled(samples=500)
    measure(filler, filler.weights("channel", 0), protocol, kid=15.8)
    for where in ({"protocol": protocol.name}, {"images": 100}):
        (cell,) = filler.store.cells(measure="kid", **where)
        assert cell.values == {0: 15.8}
        require_results(filler.store, None, where, measure="kid")
    with pytest.raises(UserError, match="no result here has swd"):
        require_results(filler.store, None, {}, measure="swd")


def test_a_grid_says_rule_seed_and_measures(filler, place):
    measure(filler, filler.weights("channel", 3), SampleProtocol(), swd=158.0)
    filler.weights("LL", 1, budget=100, map_options='{"score":"normalized"}')
    assert captions(filler, place, count=1, temperature=0.5) == [
        *("realnvp on photos16, seed 1", "drawn at temperature 0.5"),
        *("low (LL)", "@100", "maps score normalized", "4.000 bits/dim"),
        *("realnvp on photos16, seed 3", "drawn at temperature 0.5"),
        *("channel", "4.000 bits/dim", "swd 158"),
    ]
