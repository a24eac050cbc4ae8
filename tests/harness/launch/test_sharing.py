"""One pretraining for all launches that need it, whatever budgets each of them asks for."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end, with_ending
from tests.harness.launch.machines import until
from tests.stores import read_job

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Work]]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, place: Place) -> Place:
    """The same on each supported engine."""
    if request.param == "sqlite":
        return place
    return replace(place, db=request.getfixturevalue("current_postgres_url"))


def owned(works: Sequence[Work], owner: str) -> list[Work]:
    return [replace(n, owner=owner) for n in works]


def budgets(works: Sequence[Work]) -> dict[int, str]:
    """The segments' jobs."""
    jobs = [n.job for n in works]
    return {job.budget: job.id for job in jobs if job.budget is not None}


def pretraining_steps(store: db.Store, *ids: str) -> list[tuple[int, int]]:
    """From where to where each attempt at these jobs trained."""
    attempts: pd.DataFrame = store.view("attempts", job_id=ids).sort_values("id")
    return list(zip(attempts.first_step, attempts.last_step, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("second", [[30], [20, 30]], ids=str)
@pytest.mark.usefixtures("slow_steps")
def test_two_launches_at_once_train_one_chain(registered: Registered, second: list[int]) -> None:
    """The second comes while the first runs a shorter segment than it asks for."""
    few = {"factorization": "low"}
    store, one = registered({"matrix": {**few, "budget": [20]}})
    _, two = registered({"matrix": {**few, "budget": second}})
    _, other = registered({"matrix": {"factorization": "conventional"}})
    executors = LocalExecutor(1), LocalExecutor(1)
    Launch(store, other, executors[1], Told()).run()  # its worker is there when it is needed
    launches = [
        Launch(store, owned(works, owner), executor, Told())
        for works, owner, executor in zip((one, two), ("first", "second"), executors, strict=True)
    ]
    threads = [threading.Thread(target=launch.run) for launch in launches]
    (shortest,) = budgets(one).values()
    threads[0].start()
    until(lambda: read_job(store, shortest).state == "running")
    threads[1].start()
    for thread in threads:
        thread.join()
    for executor in executors:
        executor.close(kill=True)
    assert [len(with_ending(launch.ended, "done")) for launch in launches] == [len(one), len(two)]
    jobs = {**budgets(one), **budgets(two)}
    ends = sorted(jobs)
    trained = pretraining_steps(store, *jobs.values())
    assert trained == list(zip([0, *ends], ends, strict=False))
    assert sum(last - first for first, last in trained) == 30


@pytest.mark.slow_on("sqlite")
def test_a_launch_hands_out_no_segment_that_it_would_not_get(registered: Registered) -> None:
    store, works = registered({"matrix": {"factorization": "low", "budget": [10, 20]}})
    jobs = budgets(works)
    longer = [replace(n, after=None) for n in works if n.job_id == jobs[20]]
    claim = claim_elsewhere(store, jobs[10])
    executor = Inline()
    submitted: list[int] = []

    class Looking(Told):
        def update(self, ended: int, total: int, running: Sequence[db.JobFacts]) -> None:
            submitted.append(len(executor.works))
            if len(submitted) == 2:
                end(store, claim, "preempted", last_step=5)

    ended = Launch(store, longer, executor, Looking()).run()
    assert submitted == [0, 0, 1, 0]
    assert len(with_ending(ended, "done")) == 1
    assert len(store.view("attempts", job_id=jobs[20])) == 1
