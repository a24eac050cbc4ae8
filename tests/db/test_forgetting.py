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


def test_what_nobody_has_begun_goes_and_the_rest_stays(world: World) -> None:
    add_sweep(world, "edited", 1, 2, 3)
    world.win(world.trials[1])
    before = world.dump()
    would = world.store.forget(["edited"], dry_run=True)
    assert world.dump() == before
    assert world.store.forget(["edited"]) == would
    assert would == db.Forgotten(trials=1, segments=1, sweeps=0, kept=1)
    left = list_jobs(world.store)
    assert world.trials[3] not in left, "of this sweep alone"
    assert {world.trials[1], world.trials[2]} <= left, "begun, and planned by another sweep"
    assert world.segments[0] in left, "the other sweep's trial needs it"
    assert world.segments[1] not in left
    members = world.store.view("sweep_trials", sweep_id="edited")
    assert set(members["trial_id"]) == {TRIALS[1].id}
    assert check_integrity(world.store.database).findings == ()


def test_a_sweep_of_which_nothing_is_left_goes_unless_it_was_launched(world: World) -> None:
    add_sweep(world, "late", 1)
    world.store.begin_launch("me", "late")
    world.store.request_stop(["s"], by="me")
    world.store.request_stop(job_ids=[world.trials[0]], by="me")
    gone = world.store.forget(["s", "late"])
    assert (gone.trials, gone.sweeps, gone.kept) == (3, 1, 0)
    assert [one.id for one in world.store.sweeps()] == ["late"], "a launch of it may be under way"
    assert check_integrity(world.store.database).findings == ()
    world.store.register(PLAN)
    assert list_jobs(world.store) >= {job.id for job in TRIAL_JOBS}, "a launch plans it anew"
