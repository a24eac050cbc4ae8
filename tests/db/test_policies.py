"""Policies after failures, caps, and requests to stop, on each engine."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.driver import read_starved
from lcma.harness.watch.status import list_stop_requests
from lcma.harness.work.units import Starved
from tests.db.conftest import COST
from tests.stores import beat, list_lost

ONE_RETRY = db.Policy(oom=1, timeout=1, remedy="alone on a full GPU")


def fail(world: Any, outcome: db.Outcome, policy: db.Policy) -> tuple[str, str | None]:
    """End the trial's next attempt with an outcome; return its state and the decision."""
    claim = world.win(world.trials[0], now=2000.0)
    ending = {"cost": COST, "log": "", "policy": policy, "now": 2001.0}
    assert world.store.finish(claim, outcome, last_step=7, **ending)
    (job,) = world.store.job_facts([world.trials[0]])
    return job.state, job.decision


@pytest.mark.parametrize(
    ("outcome", "policy", "state", "decision"),
    [
        ("code_error", db.Policy(), "failed", "given up: policy code_error: 0"),
        ("diverged", db.Policy(), "diverged", "given up: policy diverged: 0"),
        ("diverged", db.Policy(diverged=1), "pending", "to be run again (policy diverged: 1)"),
        ("oom", db.Policy(oom=1, hopeless="it has all"), "failed", "given up: it has all"),
        ("timeout", db.Policy(timeout=None), "pending", "to be run again (policy timeout: always)"),
    ],
)
def test_a_failure_has_the_state_and_the_decision_of_its_policy(
    world: Any, outcome: db.Outcome, policy: db.Policy, state: str, decision: str
) -> None:
    assert fail(world, outcome, policy) == (state, decision)


def test_a_retry_by_a_person_resets_the_count_of_failures(world: Any) -> None:
    again = "to be run again alone on a full GPU (policy oom: 1)"
    assert fail(world, "oom", ONE_RETRY) == ("pending", again)
    assert list_lost(world.store) == []
    assert fail(world, "oom", ONE_RETRY) == ("failed", "given up: policy oom: 1 used")
    assert len(list_lost(world.store)) == 1
    assert read_starved(world.store, world.trials) == {world.trials[0]: Starved(reported=2)}
    assert world.store.retry([world.trials[0]], now=2002.0) == 1
    assert read_starved(world.store, world.trials) == {}
    assert world.store.job_facts([world.trials[0]])[0].decision is None
    for state in ("pending", "failed"):
        assert fail(world, "oom", ONE_RETRY)[0] == state


def test_a_measure_of_kept_weights_is_no_decision(world: Any) -> None:
    world.finish_trial(0)
    world.store.rerun([world.trials[0]], by="ann", now=1999.0)
    lost = ("failed", "given up: policy oom: 0")
    assert fail(world, "oom", db.Policy(oom=0)) == lost
    assert world.evaluate(0)
    (job,) = world.store.job_facts([world.trials[0]])
    assert (job.state, job.decision) == lost


def test_a_rerun_resets_the_count_of_failures(world: Any) -> None:
    assert fail(world, "oom", ONE_RETRY)[0] == "pending"
    world.finish_trial(0)
    assert world.store.rerun([world.trials[0]], by="ann", why="x", now=3000.0) == 1
    assert fail(world, "oom", ONE_RETRY)[0] == "pending"


def test_no_more_jobs_of_a_sweep_run_than_its_cap_allows(world: Any) -> None:
    """The sweep has trials 0 and 2, and the first segment, which trial 2 needs."""
    cap = db.Cap("s", 1)
    inside, outside = (world.segments[0], world.trials[0], world.trials[2]), world.trials[1]

    world.win(outside)
    assert isinstance(world.claim(inside[0], cap=cap), db.Claim)
    for job_id in inside[1:]:
        refused = world.claim(job_id, cap=cap, now=1059.0)
        assert (refused.state, refused.token) == ("pending", 0)
    claimed = world.claim(inside[1], cap=cap, now=1060.0)
    assert isinstance(claimed, db.Claim), "a lease that is over holds no place"


def test_a_cap_counts_a_stack_once(world: Any) -> None:
    cap = db.Cap("s", 1)
    for job_id in (world.segments[0], world.trials[0]):
        assert isinstance(world.claim(job_id, cap=cap, stack="one"), db.Claim)
    for stack in (None, "two"):
        assert isinstance(world.claim(world.trials[2], cap=cap, stack=stack), db.Job)
    assert isinstance(world.claim(world.trials[2], cap=db.Cap("s", 2), stack="two"), db.Claim)


def test_two_claims_at_once_do_not_both_take_the_last_place(world: Any) -> None:
    start = threading.Barrier(2)

    def is_claimed(job_id: str) -> bool:
        start.wait()
        return isinstance(world.claim(job_id, owner=job_id, cap=db.Cap("s", 1)), db.Claim)

    with ThreadPoolExecutor(2) as threads:
        claimed = threads.map(is_claimed, (world.trials[0], world.trials[2]))
    assert sorted(claimed) == [False, True]


def test_a_request_to_stop_reaches_only_the_launches_before_it(world: Any) -> None:
    store = world.store
    first = store.begin_launch("first", "s", now=1000.0)
    assert store.stop_request("s", first) is None
    store.request_stop(["s"], by="me@here", now=1001.0)
    request = store.stop_request("s", first)
    assert (request.time, request.by, request.sweep_id) == (1001.0, "me@here", "s")
    assert store.stop_request("s") == request
    assert store.stop_request("another", first) is None
    later = store.begin_launch("later", "s", now=1002.0)
    assert store.stop_request("s", later) is None
    assert store.stop_request("s") is None
    store.request_stop(None, by="me@here", now=1003.0)
    for launch in (first, later):
        assert store.stop_request("s", launch).sweep_id is None


def test_a_sweep_holds_the_jobs_that_its_launches_hold(world: Any) -> None:
    """Another sweep may run a trial of this one. A launch that is not stored counts as one of the
    sweep."""
    store = world.store
    store.register(db.Registration(sweeps=(db.Sweep(id="t", name="other", spec="{}"),)))
    store.begin_launch("ours", "s", now=1000.0)
    store.begin_launch("theirs", "t", now=1000.0)
    ours = world.win(world.trials[1], owner="ours")
    theirs = world.win(world.trials[0], owner="theirs")
    unknown = world.win(world.trials[2], owner="unknown")
    assert [store.job_counts(sweep, held=True).total for sweep in ("s", "t", None)] == [2, 1, 3]
    request = store.request_stop(["s"], by="me@here", now=1002.0)
    requests = [(request.sweep_id, held) for request, held in list_stop_requests(store)]
    assert requests == [("s", 1)]
    store.begin_launch("later", "s", now=1002.5)
    late = world.win(world.trials[3], owner="later", now=1002.5)
    assert store.release(sweep_id="s", before=request, now=1003.0) == 2
    assert beat(store, late, step=1, lease_seconds=60.0, now=1004.0), "it began later"
    assert store.release("later", now=1004.0) == 1
    assert list_stop_requests(store) == []
    for claim, alive in ((ours, False), (unknown, False), (theirs, True)):
        assert beat(store, claim, step=1, lease_seconds=60.0, now=1004.0) == alive
    assert store.release(sweep_id=None, now=1005.0) == 1
