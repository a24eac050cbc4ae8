"""Sets of maps: their short ids, and which meet a filter."""

import dataclasses
import json

import pytest

from lcma.harness.results.maps import filter_map_sets, filter_read_sets, list_map_sets
from lcma.sweeps import catalog
from lcma.sweeps.errors import UserError
from lcma.sweeps.settings import merge

OTHER_DATA = "e" * 64


def recipe(**change):
    """The recipe of the test database with other settings."""
    base = {"model": {"splits": 2, "architecture": {"width": 2, "blocks": 0}}}
    return catalog.recipe("realnvp", "photos16", "tiny", merge(base, change))


SWAPPED = recipe(model={"architecture": {"masks": "even-first"}})


def ids(sets):
    return [one.id for one in sets]


@pytest.fixture
def several(filler):
    filler.maps(0, 100, scores=("cumulative", "total"))
    filler.maps(0, 1000)
    filler.maps(1, 100)
    filler.maps(1, 100, nms="flat")
    filler.maps(1, 100, recipe=SWAPPED)
    return list_map_sets(filler.store)


def test_filters(filler, several):
    assert ids(filter_map_sets(several, {"score": ("total",)})) == ["p0@100:total"]
    assert ids(filter_map_sets(several, {"seed": (0,), "budget": (1000,)})) == ["p0@1000"]
    assert len(filter_map_sets(several)) == 6
    with pytest.raises(UserError, match="--score x: there are cumulative, total"):
        filter_map_sets(several, {"score": ("x",)})
    with pytest.raises(UserError, match="--budget 1000: there are 100"):
        filter_map_sets(several, {"seed": (1,), "budget": (1000,)})
    (swapped,) = filter_map_sets(several, {"recipe_id": (SWAPPED.id[:6],)})
    assert (swapped.masks, swapped.seed) == ("even-first", 1)
    with pytest.raises(UserError, match=f"--where recipe_id=x: there are .*{SWAPPED.id[:8]}"):
        filter_map_sets(several, {"recipe_id": ("x",)})
    with pytest.raises(UserError, match="maps have no factorization, choose by"):
        filter_map_sets(several, {"factorization": ("low",)})
    with pytest.raises(UserError, match="no contribution maps yet"):
        filter_map_sets([])


def test_the_sets_that_trials_read(filler):
    filler.data(OTHER_DATA)
    filler.maps(0, 100, scores=("cumulative", "total"))
    filler.maps(0, 100, scores=("cumulative", "total"), digest=OTHER_DATA)
    usual = filler.plan("LL", 0, budget=100)
    total = filler.plan("LL", 0, budget=100, map_options=json.dumps({"score": "total"}))
    fixed = filler.plan("rows", 0)

    def read(trial, digest="d" * 64):
        trials = filler.store.job_facts(trial_ids=[trial.trial_id])
        on = [dataclasses.replace(one, data_digest=digest) for one in trials]
        return [(x.score, x.data_digest[0]) for x in filter_read_sets(known, on)]

    known = list_map_sets(filler.store)
    assert read(usual) == [("cumulative", "d")]
    assert read(total, OTHER_DATA) == [("total", "e")]
    assert read(fixed) == []
