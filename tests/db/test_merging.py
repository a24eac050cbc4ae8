"""Two sites' databases become one: by content, in any order, and never over what is there."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings

import db
from db.checking import check
from db.merging import Counts, Difference, MergeReport, merge
from sweeps.errors import UserError
from tests.db.conftest import COST, DATA, HALF, TRIALS, World, index_table, result, trial
from tests.db.test_bad_input import listing

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")
PAIRS = [(one, other) for one in ENGINES for other in ENGINES]


@dataclass
class Sites:
    """Makes databases on either engine."""

    request: pytest.FixtureRequest
    folder: Path
    made: list[str]

    def new(self, engine: Engine, stage: str = "planned") -> World:
        if engine == "sqlite":
            files = self.request.getfixturevalue("sqlite_templates")
            return World(db.connect(str(files.copy(stage, self.folder)), create=False))
        templates = self.request.getfixturevalue("postgres_templates")
        self.made.append(templates.copy(stage))
        return World(db.connect(templates.server.url(self.made[-1]), create=False))

    def drop(self) -> None:
        for name in self.made:
            self.request.getfixturevalue("postgres").drop(name)
        self.made.clear()


@pytest.fixture
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sites]:
    found = Sites(request, tmp_path, [])
    yield found
    found.drop()


@pytest.fixture(params=PAIRS, ids=lambda pair: "-into-".join(pair))
def engines(request: pytest.FixtureRequest) -> tuple[Engine, Engine]:
    """The engine of the source and that of the target."""
    pair: tuple[Engine, Engine] = request.param
    return pair


def merged(source: World, target: World, **options: Any) -> MergeReport:
    """Merge, and hold the target against the check."""
    report = merge(source.store.database, target.store.database, **options)
    assert check(target.store.database).findings == ()
    return report


def known(world: World) -> dict[str, Any]:
    """All that is known, without numbers that count rows or attempts, and without history."""
    dump = world.dump()
    jobs = {row.id: row.state for row in dump["jobs"]}
    curves = {row.id: (row.job_id, row.name) for row in dump["curves"]}

    def rows(table: str, *without: str) -> list[dict[str, Any]]:
        left_out = {"id", "attempt_id", "job_id", *without} if without else set()
        found = [
            {k: v for k, v in row._mapping.items() if k not in left_out} for row in dump[table]
        ]
        return sorted(found, key=repr)

    return {
        **{name: rows(name) for name in ("recipes", "flow_trials", "sweep_trials", "cells")},
        "jobs": jobs,
        "results": rows("results", "created"),
        "maps": rows("contribution_maps", "created"),
        "tables": rows("index_tables", "created"),
        "overlaps": rows("table_overlaps"),
        "attempts": rows("attempts", "token"),
        "artifacts": rows("artifacts", "created"),
        "metrics": sorted((*curves[row.curve_id], row.step, row.value) for row in dump["metrics"]),
    }


def work(world: World, job: str, outcome: str, owner: str, now: float = 1000.0) -> None:
    """One attempt at a job of the plan, which ends so; nothing where the job has ended."""
    claim = world.claim(job, owner=owner, now=now)
    if isinstance(claim, db.Job):
        return
    if outcome == "running":
        return
    made: dict[str, Any] = {}
    if job in world.segments:
        budget = 100 * (1 + world.segments.index(job))
        maps = [world.contribution_map(split, budget) for split in (1, 2)]
        made = {"maps": maps} if outcome == "done" else {}
    else:
        own = TRIALS[world.trials.index(job)]
        points = [db.Metric("loss", step, step / 7) for step in (100, 200)]
        made = {"metrics": points, "tables": [index_table(own.id, 1, HALF)]}
        if outcome == "done":
            made["result"] = result(own.id, 3.0 + world.trials.index(job) / 7)
            made["artifacts"] = [
                db.Artifact(kind="weights", path="a/b", bytes=12, digest="e" * 64, place="x:/runs")
            ]
    assert world.store.finish(claim, outcome, last_step=100, cost=COST, now=now + 1, **made)  # type: ignore[arg-type]


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
    assert report.tables["results"] == Counts(new=4)
    here, there = known(target), known(source)
    assert here.pop("jobs") == {**there.pop("jobs"), source.segments[1]: "pending"}
    there["attempts"] = [row for row in there["attempts"] if row["ended"] is not None]
    assert here == there
    (event,) = [row for row in target.dump()["events"] if row.event == "merge"]
    assert event.detail.startswith(f"from {source.store.name}: 2 recipes, 1 data_sets, ")
    assert target.store.results_frame()["evaluation_seconds"].max() == 7.0
    before = target.dump()
    again = merged(source, target)
    assert not again.changed
    assert again.tables["results"] == Counts(equal=4)
    assert target.dump() == before
    assert not merged(target, source).changed
    assert source.dump() == untouched


OUTCOMES = st.sampled_from(["nothing", "done", "oom", "diverged", "pruned", "running"])
EVALUATED = st.lists(st.integers(0, 3), max_size=3)
PLANS = st.lists(st.tuples(OUTCOMES, OUTCOMES), min_size=6, max_size=6)


def test_work_split_over_two_sites_is_the_same_merged_in_any_order(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    @settings(
        max_examples=6,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # examples are small as they are
    )
    @given(PLANS, EVALUATED, EVALUATED)
    def hold(plan: Any, of_one: list[int], of_other: list[int]) -> None:
        one, other = (sites.new(engine) for engine in engines)
        jobs = (*one.segments, *one.trials)
        for world, place, evaluated in ((one, 0, of_one), (other, 1, of_other)):
            for job, outcomes in zip(jobs, plan, strict=True):
                if outcomes[place] != "nothing":
                    work(world, job, outcomes[place], f"site {place}")
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
        for job, outcomes in zip(jobs, plan, strict=True):
            ended = {"done", "oom", "diverged"} & set(outcomes)
            for found in states:
                assert (found[job] == "done") == ("done" in ended)
                assert (found[job] == "pending") == (not ended)
        if "running" not in {outcomes[1] for outcomes in plan}:
            for name in ("results", "maps", "tables", "overlaps", "cells"):
                assert into[name] == both[0][name]
        for world in thirds:
            before = world.dump()
            assert not merged(one, world).changed
            assert world.dump() == before
        sites.drop()

    hold()


def test_other_numbers_stay_as_they_are_and_are_named(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    for world, bits in ((source, 3.5), (target, 3.25)):
        world.finish_trial(0, bits_per_dim=bits)
        world.finish_segment(0)
    source.finish_trial(1, bits_per_dim=4.0)
    source.evaluate(0)
    evidence = ("attempts", "results", "index_tables", "artifacts", "curves", "jobs")
    before = {name: target.dump()[name] for name in ("results", "cells")}
    report = merged(source, target)
    key = {"trial_id": TRIALS[0].id, "data_digest": DATA.digest, "protocol": "plain"}
    (difference,) = report.differences
    assert difference == Difference("results", key, "bits_per_dim", 3.25, 3.5)
    (left,) = report.left
    assert left.job_id == source.trials[0]
    assert report.tables["results"] == Counts(new=1, conflicting=1, left=1)
    assert report.tables["contribution_maps"] == Counts(equal=2)
    after = target.dump()
    assert before["results"] == [row for row in after["results"] if row.bits_per_dim == 3.25]
    assert {row.bits_per_dim for row in after["results"]} == {3.25, 4.0}
    assert target.job(target.trials[0]).token == 1
    assert all(after[name] for name in evidence)
    assert merged(source, target).differences == report.differences
    assert target.dump() == after


def test_another_map_stays_and_what_hangs_on_another_recipe_is_left(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = (sites.new(engine) for engine in engines)
    for world, shift in ((source, 1.0), (target, 0.0)):
        claim = world.win(world.segments[0])
        maps = [world.contribution_map(split, shift=shift) for split in (1, 2)]
        world.store.finish(claim, "done", last_step=100, cost=COST, maps=maps, now=1010.0)
    source.finish_trial(0)
    source.damage("UPDATE recipes SET body = '[]' WHERE id = 'with'")
    before = target.dump()
    report = merged(source, target)
    assert [(one.table, one.column) for one in report.differences] == [
        ("recipes", "body"),
        ("contribution_maps", "digest"),
        ("contribution_maps", "digest"),
    ]
    assert not report.changed
    assert target.dump() == before
    reasons = {one.job_id: one.reason for one in report.left}
    assert reasons[source.trials[0]] == "flow_trials channel-0-None is another one here"
    assert "stays as it is" in reasons[source.segments[0]]
    assert report.tables["flow_trials"] == Counts(left=4)


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
    assert (done.state, done.step, done.token) == ("done", 100, 2)
    assert not target.store.finish(held, "done", last_step=500, cost=COST, result=result("x"))
    points = target.store.metrics(held.job_id, "loss")
    assert points == source.store.metrics(held.job_id, "loss")
    assert [one.place for one in target.store.artifacts(held.job_id)] == ["x:/runs"]


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
        ("bound_bits_per_dim", 3.125, 3.25)
    ]
    assert report.tables["results"] == Counts(completed=1, conflicting=1)
    found = target.store.result(TRIALS[0].id, DATA.digest, "plain")
    assert (found.bound_draws, found.bound_bits_per_dim) == (10, 3.0)
    assert not merged(source, target).changed


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
    assert report.tables["results"] == Counts(new=1, equal=1)
    assert report.tables["index_tables"] == Counts(new=2)


WORKERS = """
import sys, threading
import db, db.merging.merger
from db.merging import merge
from tests.db.conftest import *

db.merging.merger.TRIALS = 7
source, target = sys.argv[1:]
trials = [trial(name, seed, 100) for name in ("LLL", "HHL") for seed in range(24)]
jobs = [db.PlannedJob.of_trial(one.id, DATA.digest, steps=500) for one in trials]
registration = db.Registration(trials=tuple(trials), jobs=tuple(jobs))
failures = []

def run(store, owner, order):
    world = World(store)
    for index in order:
        claim = world.claim(jobs[index].id, owner=owner)
        if isinstance(claim, db.Job):
            continue
        own = trials[index].id
        tables = [index_table(own, 1, HALF)]
        assert store.finish(
            claim, "done", last_step=500, cost=COST, result=result(own, 3.0 + index / 7),
            tables=tables, metrics=[db.Metric("loss", 100, 4.0)], now=1010.0,
        )

def guarded(work, *arguments):
    try:
        work(*arguments)
    except BaseException as error:
        failures.append(repr(error))

for url in (source, target):
    db.connect(url).register(registration)
run(db.connect(source), "there", range(48))
threads = [
    threading.Thread(target=guarded, args=(run, db.connect(target), str(k), range(k, 48, 4)))
    for k in range(4)
] + [
    threading.Thread(target=guarded, args=(merge, db.locate(source), db.locate(target)))
    for _ in range(2)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_workers_and_two_merges_do_not_get_into_each_other_s_way(
    sites: Sites, engine: Engine
) -> None:
    source, target = sites.new("sqlite"), sites.new(engine)
    command = [sys.executable, "-c", WORKERS, source.store.url, target.store.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    merged(source, target)
    here, there = known(target), known(source)
    for name in ("results", "tables", "overlaps", "cells", "jobs", "metrics"):
        assert here[name] == there[name]
    assert len(here["results"]) == 48
    assert len(here["overlaps"]) == 2 * 24 * 23
    assert not merged(source, target).changed


KILLED = """
import sys, time
import db, db.merging.merger
from db.merging import merge

db.merging.merger.TRIALS = db.merging.merger.SEGMENTS = 1

def progress(what, done, total):
    if what == "jobs" and done == 3:
        print("three", flush=True)
        time.sleep(60)

merge(db.locate(sys.argv[1]), db.locate(sys.argv[2]), progress=progress)
"""


def test_a_merge_killed_in_the_middle_leaves_a_sound_part_and_is_completed(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source = sites.new(engines[0], "filled")
    target, whole = sites.new(engines[1], "empty"), sites.new(engines[1], "empty")
    command = [sys.executable, "-c", KILLED, source.store.url, target.store.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "three\n"
        child.send_signal(signal.SIGKILL)
    assert check(target.store.database).findings == ()
    assert len(target.dump()["jobs"]) == 3
    (event,) = (row for row in target.dump()["events"] if row.event == "merge")
    assert ", 3 jobs, " in event.detail
    report = merged(source, target)
    assert report.tables["jobs"] == Counts(new=3, equal=3)
    merged(source, whole)
    assert known(target) == known(whole)


def refused(source: str, target: str, *words: str) -> None:
    """A merge ends in one line that has these words."""
    with pytest.raises(UserError) as caught:
        merge(db.locate(source), db.locate(target))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message


def test_a_file_is_not_merged_with_itself(
    filled_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "link.db").symlink_to(filled_path)
    os.link(filled_path, tmp_path / "hard.db")
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)
    for name in ("link.db", "hard.db", filled_path.name, f"sqlite:///{filled_path}"):
        refused(name, str(filled_path), str(filled_path), "are one database")
        refused(str(filled_path), name, "are one database")
    assert listing(tmp_path) == before


def test_a_server_s_database_is_not_merged_with_itself(
    sites: Sites, postgres: Any, tmp_path: Path
) -> None:
    world = sites.new("postgresql", "filled")
    url = sa.make_url(world.store.url)
    with postgres.role("merger", "s3cret"):
        postgres.run(f"GRANT CONNECT ON DATABASE {url.database} TO merger")
        others = [
            url.set(drivername="postgresql"),
            url.update_query_dict({"options": "-csearch_path=public"}),
            url.set(username="merger", password="s3cret"),
            url.update_query_dict({"application_name": "other"}),
        ]
        with sa.create_engine(world.store.url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.text("GRANT SELECT ON ALL TABLES IN SCHEMA public TO merger"))
        for other in others:
            text = other.render_as_string(hide_password=False)
            refused(text, world.store.url, "are one database")
            refused(world.store.url, text, "are one database")
        file = sites.new("sqlite", "empty")
        merge(db.locate(others[2].render_as_string(hide_password=False)), file.store.database)
        (event,) = (row for row in file.dump()["events"] if row.event == "merge")
        assert "merger@" in event.detail
        assert "s3cret" not in repr(file.dump())
        with sa.create_engine(world.store.url, poolclass=sa.NullPool).begin() as connection:
            connection.execute(sa.text("DROP OWNED BY merger"))
            connection.execute(sa.text("CREATE SCHEMA beside"))
    beside = url.update_query_dict({"options": "-csearch_path=beside"})
    made = World(db.connect(beside.render_as_string(hide_password=False)))
    assert merged(world, made).tables["jobs"] == Counts(new=6)


def text_file(path: Path) -> None:
    path.write_text("bits per dim: 3.5\n" * 100)


def other_program(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE trials (id INTEGER)")


def damaged(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = 'attempts'"
        pages = connection.execute(query).fetchall()
    content = bytearray(path.read_bytes())
    for (page,) in pages:
        content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)


def statement(sql: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute(sql).rowcount == 1
            connection.commit()

    return run


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "no results at"),
    "text": (text_file, "not a SQLite database"),
    "other program": (other_program, "another program"),
    "damaged": (damaged, "damaged"),
    "newer": (statement("UPDATE lcma_alembic_version SET version_num = '0999'"), "upgrade lcma"),
    "older": (statement("UPDATE lcma_alembic_version SET version_num = '0004'"), "lcma db upgrade"),
    "unsound": (
        statement("UPDATE jobs SET token = 7 WHERE trial_id = 'channel-0-None'"),
        "lcma db check",
    ),
}


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("there", [False, True])
def test_nothing_is_taken_from_what_is_no_sound_database(
    sites: Sites, tmp_path: Path, spoil: str, there: bool
) -> None:
    source = Path(sites.new("sqlite").store.database.name)
    change, words = SPOILT[spoil]
    change(source)
    target = Path(sites.new("sqlite", "filled").store.database.name) if there else tmp_path / "x.db"
    before = listing(tmp_path)
    refused(str(source), str(target), str(source), words)
    assert listing(tmp_path) == before


def test_a_damaged_row_is_left_behind_with_its_job(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1], "empty")
    source.damage("UPDATE results SET log_det = 1.5 WHERE trial_id = 'channel-0-None'")
    source.damage("UPDATE contribution_maps SET mean_log_det = 0, digest = 'x' WHERE split = 2")
    source.damage("UPDATE index_tables SET kept = substr(kept, 1, 5) WHERE trial_id = 'LLL-0-100'")
    report = merged(source, target)
    assert {one.subject for one in report.left} == {
        "trial channel-0-None",
        "trial LLL-0-100",
        "pretraining p to step 100",
    }
    assert all("damaged there" in one.reason for one in report.left)
    assert report.tables["results"] == Counts(new=1, left=2)


@pytest.mark.parametrize("spoil", ["text", "other program", "newer"])
def test_a_target_that_is_none_of_ours_is_left_alone(
    sites: Sites, tmp_path: Path, spoil: str
) -> None:
    source = sites.new("sqlite", "filled").store
    target = Path(sites.new("sqlite").store.database.name)
    change, words = SPOILT[spoil]
    change(target)
    before = listing(tmp_path)
    refused(source.url, str(target), str(target), words)
    assert listing(tmp_path) == before


def test_a_source_on_a_read_only_medium_can_be_merged(
    filled_path: Path, read_only: Callable[..., Path], sites: Sites
) -> None:
    medium = read_only(filled_path)
    before = listing(medium.parent)
    target = sites.new("postgresql", "empty")
    report = merge(db.locate(str(medium)), target.store.database)
    assert report.tables["results"] == Counts(new=3)
    assert listing(medium.parent) == before
    refused(target.store.url, str(medium), str(medium))


FULL = """
import resource, signal, sys
import db, db.merging.merger
from db.merging import merge
from sweeps.errors import UserError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    merge(db.locate(sys.argv[1]), db.locate(sys.argv[2]))
except UserError as error:
    print(error)
"""


def test_a_target_whose_disk_fills_up_stays_sound(sites: Sites) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("sqlite", "empty")
    sweeps = tuple(db.Sweep(id=str(i), name="x" * 1000, spec="{}") for i in range(5000))
    source.store.register(db.Registration(sweeps=sweeps))
    path = Path(target.store.database.name)
    command = [sys.executable, "-c", FULL, source.store.url, target.store.url]
    run = subprocess.run(
        [*command, str(path.stat().st_size + 2_500_000)], capture_output=True, text=True
    )
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 1
    assert str(path) in run.stdout
    assert "make room on its disk" in run.stdout
    assert "merge again to go on" in run.stdout
    assert check(target.store.database).findings == ()
    merged(source, target)
    assert known(target)["results"] == known(source)["results"]


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
    assert known(target)["overlaps"] == known(whole)["overlaps"]
    assert len(known(target)["overlaps"]) == 2 * 4 * 3
