"""Databases of several sites are merged by content, in any order, and nothing is overwritten."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings

from lcma import db
from lcma.db import run_sql
from lcma.db.integrity import check_integrity
from lcma.db.merge import Counts, merge
from lcma.harness.results.lookup import read_bars
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, DATA, HALF, TRIALS, Engine, Sites, World, index_table, result
from tests.db.inspecting import execute
from tests.db.sites import Launches, board, merge_worlds, read_done_evidence, read_evidence, work
from tests.stores import list_lost, read_curve

SLOW_BETWEEN_ENGINES = pytest.mark.slow_on("postgresql-into")
"""In a short run a file is merged into a server."""


@pytest.mark.integration
@SLOW_BETWEEN_ENGINES
def test_all_evidence_of_a_site_is_merged_once(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1], "empty")
    assert source.evaluate(0)
    source.store.begin_launch("me", "s", launched_by="ann", host="node1", now=900.0)
    source.store.retry([source.trials[1]], now=1030.0)
    claim = source.claim(source.trials[1], stack="one", now=1030.0)
    assert isinstance(claim, db.Claim)
    assert source.store.finish(claim, "oom", last_step=7, cost=COST, now=1040.0)
    before = source.dump()
    report = merge_worlds(source, target)
    assert report.changed
    for table, rows in (("jobs", 6), ("attempts", 7), ("measurements", 16), ("launches", 1)):
        assert report.tables[table] == Counts(new=rows)
    copied, evidence = read_evidence(target), read_evidence(source)
    assert copied.pop("jobs") == {**evidence.pop("jobs"), source.segments[1]: "pending"}
    evidence["attempts"] = [row for row in evidence["attempts"] if row["ended"] is not None]
    assert copied == evidence
    (event,) = [row for row in target.dump()["events"] if row.event == "merge"]
    assert event.detail.startswith(f"from {source.store.name}: 2 recipes, 1 data_sets, ")
    answer = run_sql(target.store.url, "SELECT max(evaluation_seconds) FROM results")
    assert answer.rows == ((7.0,),)
    after = target.dump()
    report = merge_worlds(source, target)
    assert not report.changed
    assert report.tables["measurements"] == Counts(equal=16)
    assert target.dump() == after
    assert not merge_worlds(target, source).changed
    assert source.dump() == before


def test_a_nul_in_a_message_is_escaped_by_a_merge_into_a_server(sites: Sites) -> None:
    """SQLite can hold a NUL, which the store escapes now but did not always."""
    source, target = sites.new("sqlite", "filled"), sites.new("postgresql", "empty")
    source.damage("UPDATE attempts SET message = 'a' || char(0) || 'b' WHERE outcome = 'oom'")
    merge_worlds(source, target)
    (lost,) = list_lost(target.store)
    assert lost.message == "a\\x00b"
    assert not merge_worlds(source, target).changed


SITE, JOB, TRIAL = st.integers(0, 2), st.integers(0, 5), st.integers(0, 3)
OUTCOME = st.sampled_from(["done", "done", "running", "oom", "diverged", "preempted"])
NOW = st.integers(1000, 1003)
STEP = st.one_of(
    st.tuples(st.just("work"), SITE, JOB, OUTCOME, NOW),
    st.tuples(st.just("rerun"), SITE, JOB, OUTCOME, NOW),
    st.tuples(st.just("evaluate"), SITE, TRIAL, st.integers(1, 3)),
    st.tuples(st.just("merge"), SITE, SITE, st.none() | st.integers(1, 20)),
    st.tuples(st.just("publish"), SITE, SITE),
)
"""Steps at sites. An attempt at a job ends with an outcome, or is left running. A done job is run
anew. A result is evaluated with a number of draws. A site is merged into another, and the merge may
be killed at a commit. A publication of a site is merged into another, or into itself."""

DOUBLE_WORK = [
    *[("work", site, job, "done", 1003 - site) for site in (0, 1) for job in (0, 2, 3)],
    ("work", 0, 4, "oom", 1001),
    ("work", 1, 4, "diverged", 1000),
    ("merge", 0, 1, 5),
    ("merge", 1, 0, None),
    *[("evaluate", site, 0, 1 + site) for site in (0, 1)],
    ("evaluate", 0, 1, 1),
    ("evaluate", 1, 1, 1),
    ("rerun", 0, 2, "done", 1003),
    ("rerun", 1, 2, "done", 1002),
    ("rerun", 1, 0, "running", 1002),
    ("rerun", 0, 3, "running", 1002),
    ("work", 2, 5, "running", 1001),
]
"""Two sites do the same work, exchange it, and do some of it anew."""


@pytest.mark.integration
@pytest.mark.parametrize(
    "engines",
    [
        ("sqlite", "postgresql"),
        # Thirty examples are more than two minutes of CPU.
        pytest.param(("postgresql", "sqlite"), marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
    ids="-into-".join,
)
def test_a_sweep_split_over_three_sites_is_the_same_merged_in_any_order(
    sites: Sites, engines: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    """They are merged during a launch and after it. Both engines give a board the same bytes."""
    generated = (Phase.reuse, Phase.generate)  # no shrinking: examples are small

    @settings(
        max_examples=30,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, *(generated if request.node.get_closest_marker("slow") else ())),
    )
    @given(st.lists(STEP, min_size=8, max_size=20), st.permutations(range(3)))
    @example(DOUBLE_WORK, (2, 1, 0))
    def hold(steps: list[Any], order: Sequence[int]) -> None:
        launches = Launches([sites.new(engines[0]) for _ in range(3)])
        whole = sites.new(engines[1], "empty")
        for number, step in enumerate(steps):
            launches.take(number, *step)
        for place in order:
            merge_worlds(launches.worlds[place], whole)
        launches.end()
        for place in order:
            merge_worlds(launches.worlds[place], whole)
        for world in launches.worlds:
            merge_worlds(whole, world)
            assert not merge(world.store.database, whole.store.database).changed
        expected = board(whole), read_done_evidence(whole)
        for world in launches.worlds:
            assert (board(world), read_done_evidence(world)) == expected
        sites.drop()

    hold()


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE recipes SET body = '[]' WHERE id = 'with'", "recipes id with: its body"),
        ("UPDATE attempts SET last_step = 7 WHERE outcome = 'oom'", "its last_step is 7 there"),
        ("UPDATE index_tables SET purity = 0.5 WHERE trial_id = 'LLL-0-100'", "its purity is 0.5"),
    ],
)
def test_a_row_that_differs_is_named_and_nothing_is_merged(
    sites: Sites, statement: str, difference: str
) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("sqlite", "filled")
    source.store.retry([source.trials[1]])
    assert work(source, source.trials[1], "done", "there", now=2000.0)
    source.damage(statement)
    before = target.dump()
    for dry_run in (True, False):
        with pytest.raises(UserError, match=f"two rows of .*{difference}.*nothing was merged"):
            merge(source.store.database, target.store.database, dry_run=dry_run)
    assert target.dump() == before


@pytest.mark.parametrize("renamed", [0, 1])
def test_of_two_names_of_a_recipe_the_longer_one_stays(sites: Sites, renamed: int) -> None:
    worlds = source, target = sites.new("sqlite", "filled"), sites.new("sqlite", "filled")
    for table in ("recipes", "flow_trials"):
        execute(worlds[renamed].store.url, f"UPDATE {table} SET profile = 'our tiny'")
    merge_worlds(source, target)
    assert set(target.store.view("results")["profile"]) == {"our tiny"}


@pytest.mark.parametrize("bits", [(None, 4.5), (4.5, None)])
def test_a_bar_is_taken_from_the_site_that_had_its_codec(
    sites: Sites, bits: tuple[float | None, float | None]
) -> None:
    worlds = source, target = sites.new("sqlite"), sites.new("sqlite")
    facts: dict[str, Any] = {"name": "webp", "standard_error": None, "images": 100, "detail": ""}
    for world, value in zip(worlds, bits, strict=True):
        bar = db.Bar(data_digest=DATA.digest, bits_per_dim=value, **facts)
        world.store.register(db.Registration(bars=(bar,)))
    report = merge_worlds(source, target)
    assert report.changed == (bits[1] is None)
    assert [bar.bits_per_dim for bar in read_bars(target.store)[DATA.digest]] == [4.5]
    assert not merge_worlds(source, target).changed


def test_a_result_merged_while_its_job_runs_is_current_and_a_retry_stays(sites: Sites) -> None:
    source, target = sites.new("sqlite"), sites.new("sqlite")
    for index, outcome in ((0, "done"), (1, "oom"), (2, "done")):
        work(source, source.trials[index], outcome, "there")
    finished, preempted = (target.win(target.trials[index], owner="here") for index in (0, 2))
    report = merge_worlds(source, target)
    assert report.tables["measurements"] == Counts(new=8)
    running = target.job(finished.job_id)
    assert (running.state, running.token) == ("running", finished.token)
    assert [failure.message for failure in list_lost(target.store)] == [""]
    assert target.store.retry([target.trials[1]]) == 1
    assert not merge_worlds(source, target).changed
    assert target.job(target.trials[1]).state == "pending"
    # The merged result came first, and a job that is put back is done already.
    products = {
        "result": result(TRIALS[0].id, 9.0),
        "tables": [index_table(TRIALS[0].id, 1, HALF)],
    }
    ending = {"cost": COST, "now": 1020.0}
    assert target.store.finish(finished, "done", last_step=500, **products, **ending)
    assert target.store.finish(preempted, "preempted", last_step=7, **ending)
    for claim in (finished, preempted):
        job = target.job(claim.job_id)
        assert (job.state, job.step) == ("done", 500)
        assert job.done_attempt_id == source.job(claim.job_id).done_attempt_id
        assert not target.store.finish(claim, "oom", last_step=500, cost=COST)
        points = read_curve(target.store, claim.job_id, "loss")
        assert points == read_curve(source.store, claim.job_id, "loss")
    assert check_integrity(target.store.database).findings == ()


def test_of_two_failures_the_earlier_stands_at_both_sites(sites: Sites) -> None:
    first, second = sites.new("sqlite"), sites.new("sqlite")
    for world, times in ((first, (1000.0, 2000.0)), (second, (3000.0, 1500.0))):
        for job_id, now in zip(world.trials, times, strict=False):
            work(world, job_id, "diverged", "any", now=now)

    def list_attempts(world: World) -> list[str | None]:
        return [world.job(job_id).attempt_id for job_id in world.trials[:2]]

    earlier = [list_attempts(first)[0], list_attempts(second)[1]]
    merge_worlds(first, second)
    merge_worlds(second, first)
    assert list_attempts(first) == list_attempts(second) == earlier


def test_a_job_that_went_on_in_a_copy_too_stays_as_it_is_in_both(
    sites: Sites, tmp_path: Path
) -> None:
    site = sites.new("sqlite")
    claim = site.win(site.trials[0], owner="here")
    copy = World(db.connect(str(site.store.database.backup(tmp_path / "copy.db")), create=False))
    products = {"result": result(TRIALS[0].id), "tables": [index_table(TRIALS[0].id, 1, HALF)]}
    assert site.store.finish(claim, "done", last_step=500, cost=COST, now=1100.0, **products)
    again = copy.win(site.trials[0], owner="there", now=5000.0)
    products["result"] = result(TRIALS[0].id, 3.4)
    assert copy.store.finish(again, "done", last_step=500, cost=COST, now=5100.0, **products)
    work(copy, copy.trials[1], "done", "there", now=6000.0)
    for source, target in ((copy, site), (site, copy)):
        before = target.job(site.trials[0])
        merge_worlds(source, target)
        assert target.job(site.trials[0]) == before
        assert target.job(site.trials[1]).state == "done"
        assert check_integrity(target.store.database).findings == ()


@pytest.mark.parametrize(
    ("asked", "lost", "state"),
    [
        (2000.0, False, "done"),
        (2000.0, True, "done"),
        (3500.0, False, "pending"),
        (3500.0, True, "failed"),
    ],
)
def test_a_rerun_that_was_done_elsewhere_since_is_not_done_again(
    sites: Sites, asked: float, lost: bool, state: str
) -> None:
    here, there = sites.new("sqlite"), sites.new("sqlite")
    work(here, here.trials[0], "done", "here")
    merge_worlds(here, there)
    assert here.store.rerun([here.trials[0]], by="ann", now=asked) == 1
    assert there.store.rerun([here.trials[0]], by="bob", now=2000.0) == 1
    work(there, here.trials[0], "done", "there", now=3000.0)
    if lost:
        work(here, here.trials[0], "code_error", "here", now=4000.0)
    merge_worlds(there, here)
    job, their = (world.job(here.trials[0]) for world in (here, there))
    assert (job.state, job.done_attempt_id) == (state, their.done_attempt_id)
    assert (job.attempt_id == job.done_attempt_id) == (state == "done")
    assert bool(here.store.reruns()) == (state != "done")


def test_a_rerun_supersedes_those_of_two_sites(sites: Sites) -> None:
    here, there = sites.new("sqlite"), sites.new("sqlite")
    job_id = here.trials[0]
    work(here, job_id, "done", "here")
    merge_worlds(here, there)
    for world, now in ((here, 2000.0), (there, 3000.0)):
        assert world.store.rerun([job_id], by="ann", now=now) == 1
        work(world, job_id, "done", "any", now=now + 100.0)
    merge_worlds(there, here)
    assert here.store.rerun([job_id], by="ann", now=4000.0) == 1
    work(here, job_id, "done", "again", now=4100.0)
    merge_worlds(here, there)
    last = here.job(job_id).done_attempt_id
    assert last == here.job(job_id).attempt_id == there.job(job_id).done_attempt_id
    assert check_integrity(here.store.database).findings == ()


def test_a_bound_of_more_draws_replaces_one_of_fewer(sites: Sites) -> None:
    source, target = sites.new("sqlite"), sites.new("sqlite")
    work(source, source.trials[0], "done", "there")
    merge_worlds(source, target)
    for world, draws, owner in ((source, 20, "there"), (target, 10, "here")):
        bound = {"bound_draws": draws, "bound_images": 50, "bound_bits_per_dim": 3.0 - draws}
        world.evaluate(0, "plain", bits_per_dim=3.0, step=500, owner=owner, **bound)
    merge_worlds(source, target)
    bound = target.store.view("results", trial_id=TRIALS[0].id)
    assert bound[["bound_draws", "bound_bits_per_dim"]].to_numpy().tolist() == [[20, -17.0]]


@SLOW_BETWEEN_ENGINES
def test_a_dry_run_tells_the_same_and_writes_nothing(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1])
    work(target, target.trials[0], "oom", "here")
    target.win(target.trials[3], owner="here")
    before = target.dump()
    rehearsal = merge(source.store.database, target.store.database, dry_run=True)
    assert target.dump() == before
    assert rehearsal.dry_run
    assert rehearsal.tables == merge_worlds(source, target).tables


@SLOW_BETWEEN_ENGINES
def test_the_source_is_read_in_one_state_while_workers_go_on(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    """During a merge, work at the source is not seen, and work at the target is kept."""
    source, target = (sites.new(engine) for engine in engines)
    work(source, source.trials[0], "done", "there")
    claims = []

    def progress(step: str, done: int, total: int | None) -> None:
        if step == "jobs" and not claims:
            work(source, source.trials[1], "done", "there")
            claims.append(target.win(target.trials[0]))

    report = merge_worlds(source, target, progress=progress)
    assert report.tables["measurements"] == Counts(new=4)
    ending = {"cost": COST, "now": 1020.0, "result": result(TRIALS[0].id, 3.0)}
    assert target.store.finish(claims[0], "done", last_step=100, **ending)
    report = merge_worlds(source, target)
    assert report.tables["measurements"] == Counts(new=4, equal=4)
    assert report.tables["index_tables"] == Counts(new=1, equal=1)
    assert len(target.store.view("results")) == 2
