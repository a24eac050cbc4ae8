"""Stored maps in numbers, and the tables that they lead to."""

import dataclasses
import statistics

import numpy as np
import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.results.lookup import find_sweep
from lcma.harness.results.map_statistics import compute_table_statistics
from lcma.harness.results.maps import (
    MapReader,
    filter_map_sets,
    list_map_sets,
    make_all_tables,
    make_word_tables,
    require_fit,
)
from lcma.harness.show.maps import draw_maps, list_pictures, maps_as_records, tabulate_maps
from lcma.harness.show.samples import draw_sweep
from lcma.harness.show.targets import PictureTarget
from lcma.sweeps.errors import UserError
from tests.harness.show import svg

SHAPE = (3, 16, 16)


@pytest.fixture
def read(filler):
    """A reader of the database as it is, and a function that finds a set in it."""

    def now():
        known = {one.id: one for one in list_map_sets(filler.store)}
        return MapReader(filler.store, list(known.values())), known.get

    return now


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
    none = dict.fromkeys(("iou_other_seeds", "iou_other_budgets", "iou_first"))
    found = [split[name] for split in reader.summarize(find("p0@100"))]
    assert found == [dataclasses.asdict(one) | none for one in expected]
    assert 0.5 < expected[0].agreement < 1


def test_halves_that_are_not_known_leave_agreement_open(filler, read):
    filler.maps(
        change=lambda made: dataclasses.replace(
            made, standard_errors=np.full(SHAPE, np.inf, dtype=np.float32)
        ),
    )
    reader, find = read()
    assert [s["low"]["agreement"] for s in reader.summarize(find("p0@100"))] == [None, None]


def other_values(seed):
    def change(made):
        values = np.random.default_rng([seed, made.split]).normal(size=SHAPE)
        return dataclasses.replace(made, values=values.astype(np.float32))

    return change


def test_overlaps_are_means_over_sets_that_differ_only_in_seed_or_budget(filler, read):
    filler.data("e" * 64)
    scores = ("cumulative", "total")
    filler.maps(0, 100, scores=scores)
    filler.maps(0, 500, change=other_values(7), scores=scores)
    filler.maps(1, 100)
    filler.maps(2, 100)
    filler.maps(2, 500)
    filler.maps(3, 100, nms="flat")
    filler.maps(4, 100, digest="e" * 64)
    reader, find = read()
    one = find("p0@100")
    assert [s.id for s in reader.others(one, "seed")] == ["p1@100", "p2@100"]
    assert [s.id for s in reader.others(one, "budget")] == ["p0@500"]
    own = reader.kept(one, "L")
    for split, of in enumerate(reader.summarize(one, find("p0@100:total"))):
        seeds = [
            db.overlap(own[split], reader.kept(find(o), "L")[split]) for o in ("p1@100", "p2@100")
        ]
        assert of["low"]["iou_other_seeds"] == pytest.approx(statistics.mean(seeds))
        budget = db.overlap(own[split], reader.kept(find("p0@500"), "L")[split])
        assert of["low"]["iou_other_budgets"] == pytest.approx(budget)
        total = db.overlap(own[split], reader.kept(find("p0@100:total"), "L")[split])
        assert of["low"]["iou_first"] == pytest.approx(total)
        assert 0 < of["low"]["iou_other_seeds"] < 0.6
    alone = reader.summarize(find("p3-flat@100"), one)[0]["low"]
    assert (alone["iou_other_seeds"], alone["iou_other_budgets"]) == (None, None)
    first = db.overlap(own[0], reader.kept(find("p3-flat@100"), "L")[0])
    assert alone["iou_first"] == pytest.approx(first)


@pytest.mark.parametrize(
    ("form", "score", "words"),
    [
        ("squeezed", "cumulative", {"low", "high"}),
        ("self", "cumulative", {"low"}),
        ("data", "detail-high", {"high"}),
    ],
)
def test_maps_of_what_a_word_left_make_only_its_tables(filler, form, score, words):
    filler.maps(0, nms=form, scores=(score,))
    target = PictureTarget(filler.folder / "out", "svg")
    (sheet,) = draw_maps(filler.store, list_map_sets(filler.store), target)
    (record,) = maps_as_records([sheet])
    for split in record["splits"]:
        assert {name for name in ("low", "high") if split[name] is not None} == words
    said = svg.texts(sheet.tables)
    assert {name for name in ("low", "high") if f"{name} ({2 * name[0].upper()})" in said} == words
    _, low = tabulate_maps([sheet])
    assert [row[2] is None for row in low.rows] == ["low" not in words] * 2


def test_every_table_is_made(filler):
    stored = filler.maps()
    named = make_all_tables(stored, seed=0)
    assert list(named)[-2:] == ["low (LL)", "high (HH)"]
    assert set(named) >= {"checkerboard-even", "checkerboard-odd", "channel", "rows", "random"}


def test_maps_that_do_not_fit_together_are_refused(filler):
    one, two = filler.maps()
    part = {"values": two.values[1:], "standard_errors": two.values[1:]}
    part["halves"] = two.halves[:, 1:]
    smaller = dataclasses.replace(two, **part)
    for wrong in ([], [two], [one, one], [one, smaller], [one, two] * 3):
        with pytest.raises(UserError, match="maps of p0@100 do not fit together"):
            require_fit(wrong, "p0@100")


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


def test_a_sweep_is_drawn_at_the_first_seed_of_each_rule(filler):
    filler.maps(seed=0, scores=("cumulative", "total"))
    filler.maps(seed=0, budget=500)  # no trial of the sweep reads these
    filler.maps(seed=1)
    for seed in (0, 1):
        filler.weights("channel", seed, sweep="s1")
        filler.weights("LL", seed, budget=100, sweep="s1")
    filler.weights("random", 1, sweep="s1")
    filler.plan("rows", 0, sweep="s1")
    place = Place(filler.url, filler.runs, filler.folder)
    found = draw_sweep(filler.store, place, "s1", filler.folder / "out")
    names = [path.name.split("-")[0] for path in found]
    assert names == ["maps", "tables", "samples", "samples", "samples"]
    assert all(path.is_file() for path in found)
    assert "-random-s1-" in found[-1].name, "seed 0 of this rule has no weights"
    assert all("b100" in path.name and "cumulative" in path.name for path in found[:2])
    assert find_sweep(filler.store, "demo").id == "s1"
