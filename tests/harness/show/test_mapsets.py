"""Sets of maps: their short ids, how one is found, and which meet a filter."""

import json

import pytest

from lcma.harness.results.maps import filter_map_sets, filter_used_sets, find_map_set, list_map_sets
from lcma.sweeps import catalog
from lcma.sweeps.errors import UserError
from lcma.sweeps.settings import merge

OTHER_DATA = "e" * 64


def recipe(**change):
    """The recipe of the test database with other settings."""
    base = {"model": {"splits": 2, "architecture": {"width": 2, "blocks": 0}}}
    return catalog.recipe("realnvp", "photos16", "tiny", merge(base, change))


LONGER = recipe(training={"steps": 7})
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


def test_data_is_named_where_a_pretraining_was_on_several(filler):
    filler.data(OTHER_DATA)
    filler.maps(0, 100)
    filler.maps(0, 100, digest=OTHER_DATA)
    filler.maps(1, 100)
    known = list_map_sets(filler.store)
    assert ids(known) == ["p0@100/dddddddd", "p1@100", "p0@100/eeeeeeee"]
    assert find_map_set(known, "p0@100/e").data_digest == OTHER_DATA
    with pytest.raises(UserError, match=r"2 sets .* give one of p0@100/dddddddd, p0@100/eeeeeeee"):
        find_map_set(known, "p0@100")


def test_a_set_is_found_by_any_start_that_no_other_has(filler, several):
    for asked, found in {
        "p0@100": "p0@100",
        "p0@1000": "p0@1000",
        "p0:total": "p0@100:total",
        "p1@100": "p1@100",  # though p1-flat starts alike
        "p1-fl": "p1-flat@100",
    }.items():
        assert find_map_set(several, asked).id == found
    filler.maps(9, 100, scores=("cumulative", "cumulative/sorted"))
    known = list_map_sets(filler.store)
    assert find_map_set(known, "p9@100:cumulative/sorted").score == "cumulative/sorted"
    assert find_map_set(known, "p9:cumulative/sorted/d").score == "cumulative/sorted"
    assert find_map_set(known, "p9/d").score == "cumulative"


def test_what_is_no_set_or_several_is_answered_with_those_there_are(several):
    for asked in ("", "x", "p0@10", "p0@100:tot", "p0@100/e", "p0@", "@1e3", "/:@"):
        with pytest.raises(UserError, match=r"no set of maps .* there are p0@100, p0@1000, p1@1"):
            find_map_set(several, asked)
    for asked in ("p0", "p", "@100"):
        with pytest.raises(UserError, match=r"sets of maps answer to .* p0@100"):
            find_map_set(several, asked)


def test_a_long_list_is_cut(filler):
    for budget in range(100, 1600, 100):
        filler.maps(0, budget)
    with pytest.raises(UserError, match="and 3 more, which `lcma maps` lists"):
        find_map_set(list_map_sets(filler.store), "x")


def test_filters(filler, several):
    assert ids(filter_map_sets(several, {"score": ("total",)})) == ["p0@100:total"]
    assert ids(filter_map_sets(several, {"seed": (0,), "budget": (1000,)})) == ["p0@1000"]
    assert len(filter_map_sets(several)) == 6
    with pytest.raises(UserError, match="--score x: there are cumulative, total"):
        filter_map_sets(several, {"score": ("x",)})
    with pytest.raises(UserError, match="leave one out"):
        filter_map_sets(several, {"seed": (1,), "budget": (1000,)})
    with pytest.raises(UserError, match="no contribution maps yet"):
        filter_map_sets([])


def test_a_recipe_is_that_of_the_pretraining_or_of_trials_that_use_it(filler):
    filler.maps(0, 100)
    filler.maps(1, 100, recipe=SWAPPED)
    filler.plan("LL", 0, budget=100, recipe=LONGER)
    known = list_map_sets(filler.store)
    plain, swapped = known
    assert plain.recipes == tuple(sorted([filler.recipe().id, LONGER.id]))
    assert filter_map_sets(known, {"recipe_id": (LONGER.id[:6],)}) == [plain]
    assert filter_map_sets(known, {"recipe_id": (filler.recipe().id,)}) == [plain]
    assert filter_map_sets(known, {"recipe_id": (SWAPPED.id[:6],)}) == [swapped]
    with pytest.raises(UserError, match=f"--where recipe_id=x: there are .*{LONGER.id[:8]}"):
        filter_map_sets(known, {"recipe_id": ("x",)})
    with pytest.raises(UserError, match="leave one out"):
        filter_map_sets(known, {"recipe_id": (SWAPPED.id,), "seed": (0,)})


def test_the_sets_that_trials_read(filler):
    filler.data(OTHER_DATA)
    filler.maps(0, 100, scores=("cumulative", "total"))
    filler.maps(0, 100, scores=("cumulative", "total"), digest=OTHER_DATA)
    usual = filler.plan("LL", 0, budget=100)
    total = filler.plan("LL", 0, budget=100, map_options=json.dumps({"score": "total"}))
    fixed = filler.plan("rows", 0)

    def used(*trials):
        return [(x.score, x.data_digest[0]) for x in filter_used_sets(known, store, trials)]

    store = filler.store
    known = list_map_sets(store)
    assert used((usual.trial_id, "d" * 64)) == [("cumulative", "d")]
    assert used((total.trial_id, OTHER_DATA)) == [("total", "e")]
    assert used((fixed.trial_id, "d" * 64)) == []
