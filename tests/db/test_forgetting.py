"""Planned trials that have not begun can be deleted, on each engine."""

from dataclasses import replace

from lcma import db
from lcma.db.integrity import check_integrity
from tests.db.conftest import PLAN, TRIAL_JOBS, TRIALS, World


def add_sweep(world: World, name: str, *trials: int) -> None:
    members = tuple(db.SweepMember(name, TRIALS[i].id, TRIALS[i].factorization) for i in trials)
    sweep = db.Sweep(id=name, name=name, spec='{"name":"' + name + '"}')
    world.store.register(replace(PLAN, sweeps=(sweep,), members=members))


def list_jobs(store: db.Store) -> set[str]:
    return set(store.sql("select id from jobs")["id"])


def test_jobs_that_have_not_begun_are_deleted_and_the_others_stay(world: World) -> None:
    add_sweep(world, "edited", 1, 2, 3)
    world.win(world.trials[1])
    before = world.dump()
    report = world.store.forget(["edited"], dry_run=True)
    assert world.dump() == before
    assert world.store.forget(["edited"]) == report
    assert report == db.Forgotten(trials=1, segments=1, sweeps=0, kept=1)
    jobs = list_jobs(world.store)
    assert world.trials[3] not in jobs, "only this sweep has it"
    assert {world.trials[1], world.trials[2]} <= jobs, "begun, and planned elsewhere"
    assert world.segments[0] in jobs, "the other sweep's trial needs it"
    assert world.segments[1] not in jobs
    members = world.store.view("sweep_trials", sweep_id="edited")
    assert set(members["trial_id"]) == {TRIALS[1].id}
    assert check_integrity(world.store.database).findings == ()


def test_an_empty_sweep_is_deleted_unless_it_was_launched(world: World) -> None:
    add_sweep(world, "late", 1)
    world.store.begin_launch("me", "late")
    world.store.request_stop(["s"], by="me")
    world.store.request_stop(job_ids=[world.trials[0]], by="me")
    report = world.store.forget(["s", "late"])
    assert (report.trials, report.sweeps, report.kept) == (3, 1, 0)
    assert [sweep.id for sweep in world.store.sweeps()] == ["late"], "a launch of it may be running"
    assert check_integrity(world.store.database).findings == ()
    world.store.register(PLAN)
    assert list_jobs(world.store) >= {job.id for job in TRIAL_JOBS}, "a launch plans them again"
