"""Two sites' databases become one: by content, in any order, and never over what is there."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, example, given, settings

from lcma import db
from lcma.db.merging import Counts, Difference, merge
from lcma.db.query import run_sql
from tests.db.conftest import (
    COST,
    DATA,
    ENGINES,
    HALF,
    TRIALS,
    Engine,
    index_table,
    result,
    trial,
)
from tests.db.sites import Sites, known, merged, work

BETWEEN_ENGINES = pytest.mark.slow_on("sqlite-into-sqlite", "postgresql-into-postgresql")
"""In a short run a file is merged into a server, and a server's database into a file."""


@pytest.mark.slow_on("postgresql-into")
def test_what_one_site_has_comes_over_whole_and_once(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1], "empty")
    assert source.evaluate(0)
    untouched = source.dump()
    report = merged(source, target)
    assert report.changed
    assert report.differences == report.left == ()
    assert report.tables["jobs"] == Counts(new=6)
    assert report.tables["attempts"] == Counts(new=6, left=1)
    assert report.tables["results"] == Counts(new=3)
    assert report.tables["measures"] == Counts(new=4 * 4)
    here, there = known(target), known(source)
    assert here.pop("jobs") == {**there.pop("jobs"), source.segments[1]: "pending"}
    there["attempts"] = [row for row in there["attempts"] if row["ended"] is not None]
    assert here == there
    (event,) = [row for row in target.dump()["events"] if row.event == "merge"]
    assert event.detail.startswith(f"from {source.store.name}: 2 recipes, 1 data_sets, ")
    found = run_sql(target.store.url, "SELECT max(evaluation_seconds) FROM trial_results")
    assert found.rows == ((7.0,),)
    before = target.dump()
    again = merged(source, target)
    assert not again.changed
    assert again.tables["results"] == Counts(equal=3)
    assert target.dump() == before
    assert not merged(target, source).changed
    assert source.dump() == untouched


@pytest.mark.parametrize("engine", ENGINES)
def test_a_message_that_no_server_can_hold_comes_over_as_an_ending_would_store_it(
    sites: Sites, engine: Engine
) -> None:
    """SQLite holds a NUL, and took one as it was before endings were made safe."""
    source, target = sites.new("sqlite", "filled"), sites.new(engine, "empty")
    source.damage("UPDATE attempts SET message = 'a' || char(0) || 'b' WHERE outcome = 'oom'")
    assert merged(source, target).left == ()
    (lost,) = target.store.failures()
    assert lost.message == "a\\x00b"
    assert not merged(source, target).changed


OUTCOMES = st.sampled_from(["nothing", "done", "oom", "diverged", "pruned", "running"])
EVALUATED = st.lists(st.integers(0, 3), max_size=3)
PLANS = st.lists(st.tuples(OUTCOMES, OUTCOMES), min_size=6, max_size=6)


@pytest.mark.parametrize(
    "engines",
    [
        ("sqlite", "sqlite"),
        pytest.param(("sqlite", "postgresql"), marks=pytest.mark.slow),
        pytest.param(("postgresql", "sqlite"), marks=pytest.mark.slow),
        pytest.param(("postgresql", "postgresql"), marks=pytest.mark.slow),
    ],
    ids="-into-".join,
)
def test_work_split_over_two_sites_is_the_same_merged_in_any_order(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    @settings(
        max_examples=3,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # examples are small as they are
    )
    @given(PLANS, EVALUATED, EVALUATED)
    @example(
        [("running", "running"), ("running", "done"), *[("pruned", "oom")] * 4], [3, 3, 1], [0]
    )
    def hold(plan: Any, of_one: list[int], of_other: list[int]) -> None:
        one, other = (sites.new(engine) for engine in engines)
        jobs = (*one.segments, *one.trials)
        happened: dict[str, set[str]] = {job: set() for job in jobs}
        for world, place, evaluated in ((one, 0, of_one), (other, 1, of_other)):
            for job, outcomes in zip(jobs, plan, strict=True):
                outcome = outcomes[place]
                if outcome != "nothing" and work(world, job, outcome, f"site {place}"):
                    happened[job].add(outcome)
            for index in evaluated:
                if world.job(world.trials[index]).state == "done":
                    world.evaluate(index, bound_draws=index + place, bound_images=5)
        thirds = [sites.new(engines[1], "empty") for _ in range(2)]
        for source, last in ((one, other), (other, one)):
            for third, first in zip(thirds, (one, other), strict=True):
                found = source if first is one else last
                merge(found.store.database, third.store.database)
        merged(one, other)
        into, *both = (known(world) for world in (other, *thirds))
        states = [found.pop("jobs") for found in (*both, into)][:2]
        assert both[0] == both[1]
        for job, outcomes in happened.items():
            ended = {"done", "oom", "diverged"} & outcomes
            for found in states:
                assert (found[job] == "done") == ("done" in outcomes)
                assert (found[job] == "pending") == (not ended)
        if "running" not in {outcomes[1] for outcomes in plan}:
            for name in ("results", "measures", "contribution_maps", "index_tables"):
                assert into[name] == both[0][name]
            for name in ("table_overlaps", "cells", "current"):
                assert into[name] == both[0][name]
        for world in thirds:
            before = world.dump()
            assert not merged(one, world).changed
            assert world.dump() == before
        sites.drop()

    hold()


@BETWEEN_ENGINES
def test_of_work_done_twice_the_first_is_current_and_other_numbers_are_named(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    for world, bits, owner, now in ((source, 3.5, "there", 1000.0), (target, 3.25, "here", 900.0)):
        claim = world.win(world.trials[0], owner=owner, now=now)
        own = {"result": result(TRIALS[0].id, bits), "tables": [index_table(TRIALS[0].id, 1, HALF)]}
        assert world.store.finish(claim, "done", last_step=500, cost=COST, now=now + 1, **own)
    source.finish_trial(1, bits_per_dim=4.0)
    report = merged(source, target)
    (difference,) = report.differences
    key = {"job": source.trials[0], "protocol": "plain", "name": "bits_per_dim"}
    assert difference == Difference("measures", key, "value", 3.25, 3.5)
    assert report.left == ()
    assert report.tables["results"] == Counts(new=2)
    shown = target.store.results().set_index("trial_id")["bits_per_dim"].to_dict()
    assert shown == {TRIALS[0].id: 3.25, TRIALS[1].id: 4.0}
    assert target.job(target.trials[0]).token == 2
    after = target.dump()
    assert not merged(source, target).changed
    assert target.dump() == after
    merged(target, source)
    for name in ("results", "measures", "cells", "current", "table_overlaps"):
        assert known(source)[name] == known(target)[name]


@BETWEEN_ENGINES
def test_a_rerun_comes_over_and_takes_the_place_of_what_it_supersedes(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    """Merged before it, while it runs, and after it."""
    source, target = (sites.new(engine) for engine in engines)
    source.finish_trial(0, bits_per_dim=3.5)
    source.finish_trial(1, bits_per_dim=4.0)
    merged(source, target)
    source.store.rerun([source.trials[0]], by="ann", why="a fault is mended", now=1500.0)
    claim = source.win(source.trials[0], now=1500.0)
    assert not merged(source, target).changed
    assert target.job(target.trials[0]).state == "done"
    third = sites.new(engines[1])
    merged(source, third)
    assert third.job(third.trials[0]).state == "done"
    own = {"result": result(TRIALS[0].id, 3.75), "tables": [index_table(TRIALS[0].id, 1, ~HALF)]}
    assert source.store.finish(claim, "done", last_step=500, cost=COST, now=1600.0, **own)
    for world in (target, third):
        report = merged(source, world)
        assert report.tables["supersedes"] == Counts(new=1)
        assert report.differences == ()
        assert not merged(source, world).changed
        for name in ("results", "measures", "cells", "current", "supersedes", "table_overlaps"):
            assert known(world)[name] == known(source)[name]
        shown = world.store.results().set_index("trial_id")["bits_per_dim"].to_dict()
        assert shown == {TRIALS[0].id: 3.75, TRIALS[1].id: 4.0}


@BETWEEN_ENGINES
def test_another_map_stays_and_what_hangs_on_another_recipe_is_left(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    for world, shift, owner, now in ((source, 1.0, "there", 1000.0), (target, 0.0, "here", 900.0)):
        claim = world.win(world.segments[0], owner=owner, now=now)
        maps = [world.contribution_map(split, shift=shift) for split in (1, 2)]
        world.store.finish(claim, "done", last_step=100, cost=COST, maps=maps, now=now + 10)
    source.finish_trial(0)
    source.damage("UPDATE recipes SET body = '[]' WHERE id = 'with'")
    before = target.dump()
    report = merged(source, target)
    assert [(one.table, one.column) for one in report.differences] == [
        ("recipes", "body"),
        ("contribution_maps", "digest"),
        ("contribution_maps", "digest"),
    ]
    reasons = {one.job_id: one.reason for one in report.left}
    assert reasons[source.trials[0]] == "flow_trials channel-0-None is another one here"
    assert target.dump()["results"] == before["results"] == []
    digests = {row.digest for row in before["contribution_maps"]}
    assert {m.digest for m in target.store.maps(pretraining_id="p", budget=100)} == digests
    assert report.tables["flow_trials"] == Counts(left=4)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_recipe_by_two_names_has_the_first_of_the_alphabet(sites: Sites, swapped: bool) -> None:
    one, other = sites.new("sqlite", "filled"), sites.new("sqlite", "filled")
    for table in ("recipes", "flow_trials", "cells"):
        with sa.create_engine(other.store.url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.text(f"UPDATE {table} SET profile = 'mine'"))
    source, target = (other, one) if swapped else (one, other)
    report = merged(source, target)
    assert report.differences == ()
    for view in ("trial_results", "leaderboard"):
        assert set(target.store.view(view)["profile"]) == {"mine"}


@BETWEEN_ENGINES
def test_a_running_job_waits_and_a_retry_is_not_undone(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    work(source, source.trials[0], "done", "there")
    work(source, source.trials[1], "oom", "there")
    held = target.win(target.trials[0])
    report = merged(source, target)
    (left,) = report.left
    assert (left.job_id, left.subject) == (source.trials[0], "trial channel-0-None")
    assert "running here" in left.reason
    assert report.tables["jobs"] == Counts(completed=1, equal=4, left=1)
    assert target.job(held.job_id).token == held.token
    assert [one.message for one in target.store.failures()] == [""]
    assert target.store.retry([target.trials[1]]) == 1
    assert not merged(source, target).changed
    assert target.job(target.trials[1]).state == "pending"
    assert target.store.finish(held, "preempted", last_step=7, cost=COST, now=1020.0)
    assert merged(source, target).tables["results"] == Counts(new=1)
    done = target.job(held.job_id)
    assert (done.state, done.step, done.token) == ("done", 500, 2)
    assert not target.store.finish(held, "done", last_step=500, cost=COST, result=result("x"))
    points = target.store.metrics(held.job_id, "loss")
    assert points == source.store.metrics(held.job_id, "loss")
    assert [one.place for one in target.store.artifacts(held.job_id)] == ["x:/runs"]


@BETWEEN_ENGINES
def test_what_is_measured_beside_a_result_is_taken_where_it_is_missing(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    bound = {"bound_draws": 10, "bound_images": 50, "bound_gain": 0.01}
    for world in (source, target):
        work(world, world.trials[0], "done", "same")
        work(world, world.trials[1], "done", "same")
    for index, value in ((0, 3.0), (1, 3.25)):
        source.evaluate(
            index,
            "plain",
            bits_per_dim=3.0 + index / 7,
            step=500,
            **bound,
            bound_bits_per_dim=value,
        )
    target.evaluate(1, "plain", bits_per_dim=3.0 + 1 / 7, **bound, bound_bits_per_dim=3.125)
    report = merged(source, target)
    assert [(one.column, one.here, one.there) for one in report.differences] == [
        ("value", 3.125, 3.25)
    ]
    assert report.tables["measures"] == Counts(new=3, equal=2 * 4 + 3)
    found = target.store.result(TRIALS[0].id, DATA.digest, "plain")
    assert (found.value("bound_draws"), found.value("bound_bits_per_dim")) == (10, 3.0)
    assert not merged(source, target).changed


def test_a_wider_bound_is_taken_without_its_gain_where_it_has_none(sites: Sites) -> None:
    source, target = sites.new("sqlite"), sites.new("sqlite")
    for world, draws in ((source, 20), (target, 10)):
        work(world, world.trials[0], "done", "same")
        bound = {"bound_draws": draws, "bound_images": 50, "bound_bits_per_dim": 3.0 - draws}
        world.evaluate(0, "plain", bits_per_dim=3.0, step=500, **bound)
    assert not merged(source, target).differences
    found = target.store.result(TRIALS[0].id, DATA.digest, "plain")
    assert (found.value("bound_draws"), found.value("bound_bits_per_dim")) == (20, -17.0)


@BETWEEN_ENGINES
def test_a_dry_run_tells_the_same_and_writes_nothing(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1])
    work(target, target.trials[0], "oom", "here")
    before = target.dump()
    told = merge(source.store.database, target.store.database, dry_run=True)
    assert target.dump() == before
    done = merged(source, target)
    assert told.dry_run
    assert (told.tables, told.left, told.differences) == (done.tables, done.left, done.differences)


@BETWEEN_ENGINES
def test_the_source_is_read_in_one_state_while_workers_go_on(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    """Both are worked on in the middle of the merge: there unseen, here respected."""
    source, target = (sites.new(engine) for engine in engines)
    work(source, source.trials[0], "done", "there")
    claims = []

    def progress(what: str, done: int, total: int | None) -> None:
        if what == "jobs" and not claims:
            work(source, source.trials[1], "done", "there")
            claims.append(target.win(target.trials[0]))

    report = merged(source, target, progress=progress)
    assert report.tables["results"] == Counts(left=1)
    assert [one.job_id for one in report.left] == [source.trials[0]]
    own = {"result": result(TRIALS[0].id, 3.0)}
    assert target.store.finish(claims[0], "done", last_step=100, cost=COST, now=1020.0, **own)
    report = merged(source, target)
    assert report.tables["results"] == Counts(new=2)
    assert report.tables["index_tables"] == Counts(new=2)
    assert len(target.store.results()) == 2


@BETWEEN_ENGINES
def test_studies_stay_behind_and_their_trials_travel(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1], "empty")
    with sa.create_engine(source.store.url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("CREATE TABLE studies (study_id INTEGER, study_name TEXT)"))
        connection.execute(sa.text("INSERT INTO studies VALUES (1, 'depth'), (2, 'width')"))
    report = merged(source, target)
    assert report.studies == 2
    assert report.tables["results"] == Counts(new=3)
    with sa.create_engine(target.store.url, poolclass=sa.NullPool).connect() as connection:
        assert not sa.inspect(connection).has_table("studies")


def test_tables_of_two_sites_are_held_against_each_other(sites: Sites) -> None:
    """Trials of one cell, some on each site: all pairs are there, as if one site had run all."""
    source, target, whole = (sites.new("sqlite") for _ in range(3))
    masks = [np.random.default_rng(k).random(HALF.shape) < 0.5 for k in range(4)]
    trials = tuple(trial("LLL", seed, 100) for seed in range(4))
    jobs = tuple(db.PlannedJob.of_trial(one.id, DATA.digest, steps=500) for one in trials)
    for world, seeds in ((source, (0, 1)), (target, (2, 3)), (whole, (0, 1, 2, 3))):
        world.store.register(db.Registration(trials=trials, jobs=jobs))
        for seed in seeds:
            claim, own = world.win(jobs[seed].id), trials[seed].id
            tables = [index_table(own, 1, HALF), index_table(own, 2, HALF & masks[seed])]
            world.store.finish(
                claim, "done", last_step=500, cost=COST, result=result(own), tables=tables, now=1010
            )
    merge(source.store.database, target.store.database)
    assert known(target)["table_overlaps"] == known(whole)["table_overlaps"]
    assert len(known(target)["table_overlaps"]) == 2 * 4 * 3
