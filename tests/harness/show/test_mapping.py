"""Stored maps: which meet a filter, their numbers, and the tables that they lead to."""

import dataclasses
import json
import statistics

import numpy as np
import pytest

from lcma import db
from lcma.harness.results.map_statistics import compute_table_statistics
from lcma.harness.results.maps import (
    MapReader,
    filter_map_sets,
    filter_read_sets,
    list_map_sets,
    make_word_tables,
    require_fit,
)
from lcma.harness.show.maps import draw_maps, list_pictures, maps_as_records, tabulate_maps
from lcma.harness.show.targets import PictureTarget
from lcma.sweeps import catalog
from lcma.sweeps.errors import UserError
from tests.harness.show import svg

SHAPE = (3, 16, 16)


@pytest.fixture
def read(filler):
    """Make a reader of the database as it is, and a function that finds a set in it by its id."""

    def read():
        sets = {item.id: item for item in list_map_sets(filler.store)}
        return MapReader(filler.store, list(sets.values())), sets.get

    return read


@pytest.mark.parametrize(("letter", "name"), [("L", "low"), ("H", "high")])
def test_numbers_of_tables_are_those_of_the_instruments(filler, read, letter, name):
    stored = filler.maps()
    tables = make_word_tables(letter, stored)
    expected = compute_table_statistics(
        letter * 2,
        tables,
        SHAPE,
        maps=[m.values for m in stored],
        halves=[(m.halves[0], m.halves[1]) for m in stored],
    )
    reader, find = read()
    overlaps = dict.fromkeys(("iou_other_seeds", "iou_other_budgets"))
    summaries = [split[name] for split in reader.summarize(find("p0@100"))]
    assert summaries == [dataclasses.asdict(split) | overlaps for split in expected]
    assert 0.5 < expected[0].agreement < 1


def change_values(item):
    values = np.random.default_rng([7, item.split]).normal(size=SHAPE)
    return dataclasses.replace(item, values=values.astype(np.float32))


def test_overlaps_are_means_over_sets_that_differ_only_in_seed_or_budget(filler, read):
    filler.data("e" * 64)
    scores = ("cumulative", "total")
    filler.maps(0, 100, scores=scores)
    filler.maps(0, 500, change=change_values, scores=scores)
    filler.maps(1, 100)
    filler.maps(2, 100)
    filler.maps(2, 500)
    filler.maps(3, 100, nms="flat")
    filler.maps(4, 100, digest="e" * 64)
    reader, find = read()
    first = find("p0@100")
    assert [other.id for other in reader.others(first, "seed")] == ["p1@100", "p2@100"]
    assert [other.id for other in reader.others(first, "budget")] == ["p0@500"]
    kept = reader.kept(first, "L")

    def overlap(name, split):
        return db.overlap(kept[split], reader.kept(find(name), "L")[split])

    for split, summary in enumerate(reader.summarize(first)):
        low = summary["low"]
        mean = statistics.mean(overlap(name, split) for name in ("p1@100", "p2@100"))
        assert low["iou_other_seeds"] == pytest.approx(mean)
        assert low["iou_other_budgets"] == pytest.approx(overlap("p0@500", split))
        assert 0 < low["iou_other_seeds"] < 0.6
    alone = reader.summarize(find("p3-flat@100"))[0]["low"]
    assert (alone["iou_other_seeds"], alone["iou_other_budgets"]) == (None, None)


@pytest.mark.parametrize(
    ("form", "score", "words"),
    [
        ("squeezed", "cumulative", {"low", "high"}),
        ("self", "cumulative", {"low"}),
        ("data", "precision-low", {"low"}),
    ],
)
def test_maps_of_one_word_make_only_its_tables(filler, form, score, words):
    filler.maps(0, nms=form, scores=(score,))
    target = PictureTarget(filler.folder / "out", "svg")
    (sheet,) = draw_maps(filler.store, list_map_sets(filler.store), target)
    (record,) = maps_as_records([sheet])
    for split in record["splits"]:
        assert {name for name in ("low", "high") if split[name] is not None} == words
    labels = {"low (LL)": "low", "high (HH)": "high"}
    shown = svg.texts(sheet.tables)
    assert {labels[text] for text in shown if text in labels} == words
    assert {"checkerboard-even", "checkerboard-odd", "channel", "rows", "random"} <= set(shown)
    _, low = tabulate_maps([sheet])
    assert [row[2] is None for row in low.rows] == ["low" not in words] * 2


def test_maps_that_do_not_fit_together_are_refused(filler):
    first, second = filler.maps()
    part = {"values": second.values[1:], "standard_errors": second.values[1:]}
    smaller = dataclasses.replace(second, halves=second.halves[:, 1:], **part)
    for maps in ([], [second], [first, first], [first, smaller], [first, second] * 3):
        with pytest.raises(UserError, match="maps of p0@100 do not fit together"):
            require_fit(maps, "p0@100")


def test_budgets_share_one_picture(filler):
    for budget in (500, 100):
        filler.maps(0, budget, scores=("cumulative", "total"))
    filler.maps(1, 100)
    sets = filter_map_sets(list_map_sets(filler.store), {"score": ("cumulative",)})
    sheets = draw_maps(filler.store, sets[::-1], PictureTarget(filler.folder / "out"))
    assert [s.set.id for s in sheets] == ["p0@100", "p0@500", "p1@100"]
    assert sheets[0].maps == sheets[1].maps != sheets[2].maps
    assert len({s.tables for s in sheets}) == 3
    assert sorted((filler.folder / "out").iterdir()) == sorted(list_pictures(sheets))


ARCHITECTURE = {"width": 2, "blocks": 0, "masks": "even-first"}
SWAPPED = catalog.recipe(
    "realnvp", "photos16", "tiny", {"model": {"splits": 2, "architecture": ARCHITECTURE}}
)


def test_sets_are_chosen_by_their_columns(filler):
    filler.maps(0, 100, scores=("cumulative", "total"))
    filler.maps(0, 1000)
    filler.maps(1, 100)
    filler.maps(1, 100, nms="flat")
    filler.maps(1, 100, recipe=SWAPPED)
    sets = list_map_sets(filler.store)
    assert len(filter_map_sets(sets)) == 6
    (total,) = filter_map_sets(sets, {"score": ("total",)})
    (long,) = filter_map_sets(sets, {"seed": (0,), "budget": (1000,)})
    assert (total.id, long.id) == ("p0@100:total", "p0@1000")
    (swapped,) = filter_map_sets(sets, {"recipe_id": (SWAPPED.id[:6],)})
    assert (swapped.masks, swapped.seed) == ("even-first", 1)
    for where, message in (
        ({"score": ("x",)}, "--score x: there are cumulative, total"),
        ({"seed": (1,), "budget": (1000,)}, "--budget 1000: there are 100"),
        ({"recipe_id": ("x",)}, f"--where recipe_id=x: there are .*{SWAPPED.id[:8]}"),
        ({"factorization": ("low",)}, "maps have no factorization, choose by"),
    ):
        with pytest.raises(UserError, match=message):
            filter_map_sets(sets, where)


def test_the_sets_that_trials_read(filler):
    filler.data("e" * 64)
    filler.maps(0, 100, scores=("cumulative", "total"))
    filler.maps(0, 100, scores=("cumulative", "total"), digest="e" * 64)
    usual = filler.plan("LL", 0, budget=100)
    total = filler.plan("LL", 0, budget=100, map_options=json.dumps({"score": "total"}))
    fixed = filler.plan("rows", 0)

    def read(job, digest="d" * 64):
        trials = filler.store.job_facts(trial_ids=[job.trial_id])
        trials = [dataclasses.replace(trial, data_digest=digest) for trial in trials]
        sets = filter_read_sets(list_map_sets(filler.store), trials)
        return [(item.score, item.data_digest[0]) for item in sets]

    assert read(usual) == [("cumulative", "d")]
    assert read(total, "e" * 64) == [("total", "e")]
    assert read(fixed) == []
