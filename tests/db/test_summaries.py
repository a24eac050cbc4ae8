"""Cells: the numbers over seeds are exact, in any order of finishing, on either engine."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

from lcma import db
from lcma.db.cells import SHARED, compute_sums, encode_cell
from lcma.db.integrity import check_integrity
from lcma.sweeps import measures
from tests.db.conftest import COST, DATA, EVALUATOR, World, result, trial
from tests.db.measuring import change, left_by
from tests.processes import race

SEEDS = 4
MEASURES = ("bits_per_dim", "holdout_bits_per_dim")

AWKWARD = [(3.1, 1 / 3), (3.3000000000000003, 1e-9), (2.9999999999999996, 1e9), (3.1, 0.1)]
"""Bits/dim on test and holdout of each seed: floats whose sums depend on their order."""


def cells(url: str) -> list[dict[str, Any]]:
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        found = connection.exec_driver_sql("SELECT * FROM cells ORDER BY id")
        return [dict(row._mapping) for row in found]


def by_measure(url: str) -> list[dict[str, Any]]:
    """Of one set of seeds by one protocol, in the order of `MEASURES`."""
    found = {cell["measure"]: cell for cell in cells(url)}
    return [found[name] for name in MEASURES]


def exactly(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sum of squared deviations, each rounded once where the definition says so."""
    mean = float(sum(map(Fraction, values), Fraction(0))) / len(values)
    squares = sum((Fraction((value - mean) ** 2) for value in values), Fraction(0))
    return mean, float(squares)


class Seeds:
    """A cell's trials in a store, to be finished and evaluated in some order."""

    def __init__(self, store: db.Store, seeds: int = SEEDS) -> None:
        self.store = store
        self.trials = tuple(trial("rows", seed) for seed in range(seeds))
        self.jobs = tuple(
            db.PlannedJob.of_trial(one.id, DATA.digest, steps=500) for one in self.trials
        )
        store.register(db.Registration(trials=self.trials, jobs=self.jobs))

    def result(self, seed: int, protocol: str) -> db.Result:
        test, holdout = AWKWARD[seed]
        found = change(result(self.trials[seed].id, test), holdout_bits_per_dim=holdout)
        return dataclasses.replace(found, protocol=protocol)

    def finish(self, seed: int) -> None:
        claim = World(self.store).win(self.jobs[seed].id)
        done = self.result(seed, "plain")
        assert self.store.finish(claim, "done", last_step=500, cost=COST, result=done, now=1010.0)

    def evaluate(self, seed: int) -> None:
        found = self.result(seed, "published")
        job_id = self.jobs[seed].id
        own = {"attempt_id": left_by(self.store, job_id), "by": EVALUATOR, "cost": COST}
        self.store.add_evaluation(job_id, found, **own, now=2000.0)

    def both(self, order: Sequence[int]) -> None:
        """Finish all seeds in an order, and evaluate each at once or all at the end."""
        for seed in order:
            self.finish(seed)
            if seed % 2:
                self.evaluate(seed)
        for seed in reversed(order):
            self.evaluate(seed)  # some for the second time, which changes nothing


@pytest.mark.integration
def test_cells_are_what_any_order_of_finishing_and_evaluating_leaves(
    new_store: Callable[[str], db.Store],
) -> None:
    left = []
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        store = new_store("planned")
        Seeds(store).both(order)
        left.append(cells(store.url))
        assert not check_integrity(db.locate(store.url)).findings
    assert left[0] == left[1] == left[2]
    values = dict(zip(MEASURES, zip(*AWKWARD, strict=True), strict=True))
    for cell in left[0]:
        own = values[cell["measure"]]
        assert (cell["mean"], cell["squared_deviations"]) == exactly(own)
        assert (cell["seeds"], cell["least"], cell["greatest"]) == (4, min(own), max(own))
        assert cell["deviation"] == pytest.approx(statistics.stdev(own))
        assert cell["standard_error"] == pytest.approx(statistics.stdev(own) / 2)
    kinds = {(cell["protocol"], cell["measure"]) for cell in left[0]}
    assert kinds == {(p, m) for p in ("plain", "published") for m in MEASURES}


def test_every_step_of_the_way_is_summed_up(new_store: Callable[[str], db.Store]) -> None:
    store = new_store("planned")
    seeds = Seeds(store)
    for count, seed in enumerate((2, 0, 3, 1), start=1):
        seeds.finish(seed)
        cell, _ = by_measure(store.url)
        known = [AWKWARD[s][0] for s in (2, 0, 3, 1)[:count]]
        assert (cell["seeds"], cell["least"], cell["greatest"]) == (count, min(known), max(known))
        assert (cell["mean"], cell["squared_deviations"]) == exactly(known)


finite = st.floats(min_value=-1e6, max_value=1e6)


@given(st.lists(finite, min_size=2, max_size=5), st.randoms())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_numbers_do_not_depend_on_the_order(values: list[float], random: Any) -> None:
    one, other = (compute_sums(some) for some in (values, random.sample(values, len(values))))
    assert one == other
    mean, deviations = exactly(values)
    assert (one["mean"], one["squared_deviations"]) == (mean, deviations)
    assert deviations >= 0.0
    assert one["deviation"] == math.sqrt(deviations / (len(values) - 1))


def test_one_seed_has_no_deviation() -> None:
    found = compute_sums([3.5])
    assert (found["mean"], found["deviation"], found["standard_error"]) == (3.5, None, None)


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_eight_processes_that_finish_seeds_of_one_cell_at_once_lose_none(world: Any) -> None:
    seeds = 24
    own = Seeds(world.store, seeds)

    def work(index: int) -> None:
        for number in range(index, seeds, 8):
            claim = world.win(own.jobs[number].id, owner=str(index), now=None)
            found = change(
                result(own.trials[number].id, 3 + 0.1 * number),
                holdout_bits_per_dim=1 / (number + 3),
            )
            assert world.store.finish(claim, "done", last_step=1, cost=COST, result=found)

    race(8, work)
    test = [3 + 0.1 * number for number in range(seeds)]
    holdout = [1 / (number + 3) for number in range(seeds)]
    for cell, known in zip(by_measure(world.store.url), (test, holdout), strict=True):
        assert (cell["seeds"], cell["least"], cell["greatest"]) == (seeds, min(known), max(known))
        assert (cell["mean"], cell["squared_deviations"]) == exactly(known)


@pytest.mark.parametrize("name", SHARED)
def test_what_is_shared_sets_cells_apart(name: str) -> None:
    """And nothing else does: not the seed, not the profile's name."""
    own = {**dataclasses.asdict(trial("rows", 0)), "data_digest": "d", "protocol": "plain"}
    own |= {"precision": "float32", "measure": "bits_per_dim"}
    base = encode_cell(own, own)
    other = own | {name: "another"}
    assert encode_cell(other, other)["id"] != base["id"]
    for same in ({"seed": 5}, {"profile": "custom"}):
        assert encode_cell(own | same, own)["id"] == base["id"]


def test_a_measure_of_a_plugin_is_stored_and_ranked_where_the_plugin_is_not_loaded(
    world: World,
) -> None:
    """As by a worker of another sweep, which delivers what a dead one left."""
    own = measures.PluginMeasure("odd", "levels", "higher", "nothing", lambda *_: 1.0)
    measures.add(own)
    try:
        world.store.register(db.Registration())
    finally:
        measures.remove(own)
    claim, of = world.win(world.trials[0]), world.job(world.trials[0]).trial_id
    assert of is not None
    found = result(of)
    found = dataclasses.replace(found, measures=(*found.measures, db.Measure("odd", 2.0)))
    assert world.store.finish(claim, "done", last_step=500, cost=COST, result=found)
    assert {cell["measure"] for cell in cells(world.store.url)} == {*MEASURES, "odd"}
    assert check_integrity(db.locate(world.store.url)).findings == ()
