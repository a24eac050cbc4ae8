"""A selection is published: whole, checked, and without users and hosts."""

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import publishing
from lcma.db.integrity import check_integrity
from lcma.db.schema import attempts, launches, metadata
from tests.db import crowd
from tests.db.conftest import (
    COST,
    DATA,
    ENGINES,
    HALF,
    TRIALS,
    Engine,
    Sites,
    World,
    contribution_map,
    index_table,
    result,
    trial,
)
from tests.db.sites import board, merge_worlds, read_done_evidence, read_evidence
from tests.stores import read_curve

SECRETS: dict[sa.Column[Any], str] = {
    attempts.c.host: "canary-host",
    attempts.c.message: "canary-message in /home/ann",
    attempts.c.log: "canary-log",
    attempts.c.devices: "canary-devices",
    launches.c.launched_by: "canary-user",
    launches.c.host: "canary-launcher",
    launches.c.arguments: "canary-arguments --runs /home/ann",
    launches.c.ending: "canary-ending",
    metadata.tables["artifacts"].c.path: "canary/path",
    metadata.tables["artifacts"].c.place: "canary:/place",
    metadata.tables["events"].c.owner: "canary-actor",
    metadata.tables["events"].c.detail: "canary-detail",
    metadata.tables["jobs"].c.stopped_by: "canary-stopper",
    metadata.tables["data_sets"].c.manifest: '{"skipped":["canary.png"],"name":"photos16"}',
}
"""Columns that name users or hosts, or may, with a value to look for."""


def publish(world: World, out: Path, **selection: Any) -> publishing.Published:
    return publishing.publish(world.store.database, out, **selection)


def open_world(path: Path) -> World:
    return World(db.connect(str(path), create=False))


def make_world(sites: Sites, engine: Engine) -> World:
    """Done and failed trials, one of them run anew, a job that runs, a launch."""
    world = sites.new(engine, "filled")
    store = world.store
    assert world.evaluate(0)
    assert store.rerun([world.trials[2]], by="ann", why="a doubt", now=1100.0)
    claim = world.win(world.trials[2], now=1200.0)
    ending = {"cost": COST, "now": 1300.0, "result": result(TRIALS[2].id, 3.125)}
    assert store.finish(claim, "done", last_step=500, **ending)
    store.begin_launch("me", "s", launched_by="ann", host="node1", now=900.0)
    return world


@pytest.fixture
def world(sites: Sites) -> World:
    return make_world(sites, "sqlite")


def test_no_user_host_or_path_is_in_the_bytes(world: World, tmp_path: Path) -> None:
    with sa.create_engine(world.store.url, poolclass=sa.NullPool).begin() as connection:
        for column, text in SECRETS.items():
            changed = connection.execute(sa.update(column.table).values({column: text})).rowcount
            assert changed, column
    publish(world, tmp_path / "out.db")
    content = (tmp_path / "out.db").read_bytes()
    for word in (b"canary", b"/home", b"node1", b"node2"):
        assert word not in content, word
    assert open_world(tmp_path / "out.db").dump()["attempts"]
    assert list(tmp_path.glob("out.db*")) == [tmp_path / "out.db"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_publication_is_sound_and_has_all_that_ended(
    sites: Sites, engine: Engine, tmp_path: Path
) -> None:
    world = make_world(sites, engine)
    published = publish(world, tmp_path / "out.db")
    publication = open_world(tmp_path / "out.db")
    assert check_integrity(publication.store.database).findings == ()
    assert published.trials == {"done": 3, "failed": 1}
    assert published.unfinished == 0
    assert published.sweeps == ["demo"]
    assert published.rows["launches"] == 1
    assert board(publication) == board(world)
    evidence, whole = read_evidence(publication), read_evidence(world)
    for name in ("measurements", "contribution_maps", "index_tables"):
        assert evidence[name] == whole[name], name
    ended = [row for row in whole["attempts"] if row["ended"] is not None]
    for name in ("id", "seconds", "outcome", "device", "last_step", "job_id"):
        values = sorted(str(row[name]) for row in evidence["attempts"])
        assert values == sorted(str(row[name]) for row in ended), name
    assert world.segments[1] not in evidence["jobs"]  # it runs, and no trial reads its maps
    before = world.dump()
    assert not merge_worlds(publication, world).changed
    assert world.dump() == before


def test_merged_elsewhere_a_publication_gives_the_same_board_and_done_jobs(
    world: World, sites: Sites, tmp_path: Path
) -> None:
    publish(world, tmp_path / "out.db")
    elsewhere = sites.new("sqlite")
    merge_worlds(open_world(tmp_path / "out.db"), elsewhere)
    assert board(elsewhere) == board(world)
    assert [elsewhere.job(job).state for job in world.trials] == ["done", "failed", "done", "done"]
    assert elsewhere.job(world.segments[0]).state == "done"
    assert not isinstance(elsewhere.claim(world.trials[0]), db.Claim)
    # The source adds what was left out, but no result.
    report = merge_worlds(world, elsewhere)
    assert not report.tables["measurements"].new
    evidence, whole = read_done_evidence(elsewhere), read_done_evidence(world)
    for name in ("measurements", "metrics", "contribution_maps", "artifacts"):
        assert evidence[name] == whole[name], name
    assert not merge_worlds(world, elsewhere).changed


def test_the_same_content_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    for name in ("first.db", "second.db"):
        publish(world, tmp_path / name)
    publish(open_world(tmp_path / "first.db"), tmp_path / "again.db")
    for name in ("second.db", "again.db"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "first.db").read_bytes(), name


def test_a_selection_has_its_trials_and_what_they_need(world: World, tmp_path: Path) -> None:
    published = publish(world, tmp_path / "low.db", where={"factorization": ("LLL",)})
    assert published.trials == {"done": 1}
    low = open_world(tmp_path / "low.db")
    counts = {name: len(rows) for name, rows in low.dump().items()}
    assert (counts["jobs"], counts["flow_trials"], counts["pretrainings"]) == (2, 1, 1)
    assert counts["contribution_maps"] == 2
    publish(world, tmp_path / "channel.db", where={"seed": 0, "factorization": "channel"})
    channel = open_world(tmp_path / "channel.db")
    counts = {name: len(rows) for name, rows in channel.dump().items()}
    assert (counts["jobs"], counts["pretrainings"], counts["contribution_maps"]) == (1, 0, 0)
    assert counts["recipes"] == 1
    merge_worlds(channel, low)
    assert len({row.attempt_id for row in low.dump()["measurements"]}) == 3  # LLL has two


def test_a_publication_of_a_sweep_names_no_other_sweep(world: World, tmp_path: Path) -> None:
    other = db.Sweep(id="other", name="secret plans", spec="{}")
    member = db.SweepMember("other", TRIALS[0].id, "conventional")
    world.store.register(db.Registration(sweeps=(other,), members=(member,)))
    published = publish(world, tmp_path / "out.db", sweep_ids=["s"])
    assert published.sweeps == ["demo"]
    assert published.trials == {"done": 2}
    assert b"secret plans" not in (tmp_path / "out.db").read_bytes()


@pytest.mark.integration
def test_lost_jobs_are_published_and_jobs_that_have_not_ended_are_not(tmp_path: Path) -> None:
    """A trial whose pretraining was lost is published too. Maps that no trial read are left out."""
    store = db.connect(str(tmp_path / "crowd.db"))
    crowd.fill(store)
    world = World(store)
    unread = dataclasses.replace(crowd.PRETRAININGS[0], id="unread", nms="flat")
    job = db.PlannedJob.of_pretraining("unread", DATA.digest, budget=100)
    store.register(db.Registration(pretrainings=(unread,), jobs=(job,)))
    maps = [dataclasses.replace(contribution_map(n), pretraining_id="unread") for n in (1, 2)]
    world.finish(job.id, last_step=100, maps=maps)
    published = publish(world, tmp_path / "out.db")
    evidence, states = read_evidence(open_world(tmp_path / "out.db")), read_evidence(world)["jobs"]
    keys = (("random", None, None, 2), ("HHH", 200, None, 0), ("LLL", 200, crowd.TOTAL, 0))
    unfinished = {crowd.TRIALS[key].id for key in keys} | {crowd.FACE_TRIALS[3].id}
    ended = {job.id for trial_id, job in crowd.JOBS.items() if trial_id not in unfinished}
    segments = {job.id for job in crowd.SEGMENTS.values()}
    assert evidence["jobs"] == {job_id: states[job_id] for job_id in ended | segments}
    assert set(evidence["jobs"].values()) == {"done", "failed", "diverged", "pending"}
    assert published.unfinished == len(unfinished)
    assert {row["pretraining_id"] for row in evidence["contribution_maps"]} == {"p0", "p1", "p2"}


def test_a_trial_without_maps_by_its_score_is_published(world: World, tmp_path: Path) -> None:
    options = {"id": "unscored", "map_options": '{"score":"normalized"}'}
    (job,) = world.plan_trials(dataclasses.replace(trial("LLL", 5, 100), **options))
    ending = {"cost": COST, "message": "no maps by this score", "now": 1500.0}
    assert world.store.finish(world.win(job), "code_error", last_step=0, **ending)
    published = publish(world, tmp_path / "out.db", where={"trial_id": "unscored"})
    assert published.trials == {"failed": 1}


@pytest.mark.parametrize("points", [60, 61])
def test_a_curve_has_at_most_sixty_points_with_both_ends(
    sites: Sites, points: int, tmp_path: Path
) -> None:
    world = sites.new("sqlite")
    job = db.PlannedJob.of_trial("long", DATA.digest, steps=10 * points)
    trial = dataclasses.replace(TRIALS[0], id="long")
    world.store.register(db.Registration(trials=(trial,), jobs=(job,)))
    curves = [db.Metric("train_bits_per_dim", 10 * n, float(n)) for n in range(1, points + 1)]
    curves += [db.Metric("loss", 10 * n + 3, 1.0) for n in range(points)]
    world.finish(job.id, last_step=10 * points, result=result("long"), metrics=curves)
    publish(world, tmp_path / "out.db")
    publication = open_world(tmp_path / "out.db")
    for name in ("train_bits_per_dim", "loss"):
        whole, thin = (read_curve(site.store, job.id, name) for site in (world, publication))
        assert len(thin) == min(points, 60)
        assert (thin[0], thin[-1]) == (whole[0], whole[-1])
        assert set(thin) <= set(whole)
        gaps = {after.step - before.step for before, after in pairwise(thin)}
        assert max(gaps) - min(gaps) <= 10


def test_the_cost_of_every_segment_of_a_pretraining_is_published(
    sites: Sites, tmp_path: Path
) -> None:
    world = sites.new("sqlite")
    longer = trial("LLL", 0, 200)
    (job,) = world.plan_trials(longer)
    for number, job_id in enumerate(world.segments):
        maps = [world.contribution_map(split, 100 * (number + 1)) for split in (1, 2)]
        world.finish(job_id, maps=maps, first_step=100 * number, last_step=100 * (number + 1))
    world.finish(job, result=result(longer.id, 3.0), tables=[index_table(longer.id, 1, HALF)])
    publish(world, tmp_path / "out.db", where={"budget": 200})
    for site in (world, open_world(tmp_path / "out.db")):
        (row,) = site.store.view("costs", trial_id=longer.id).to_dict("records")
        assert row["pretraining_seconds"] == 2 * COST.seconds
        assert row["total_cpu_seconds"] == 3 * COST.cpu_seconds
