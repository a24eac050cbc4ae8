"""Launches share a pretraining, whatever budgets each of them asks for."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from tests.db.conftest import Stage
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    claim_elsewhere,
    end_job,
    run_launch,
    select,
    using,
    with_ending,
)
from tests.harness.launch.machines import wait_until
from tests.stores import read_job

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Work]]]


@pytest.fixture
def place(new_url: Callable[[Stage], str], place: Place) -> Place:
    """A place on each engine."""
    return replace(place, db=new_url("empty"))


def list_segments(works: Sequence[Work]) -> dict[int, str]:
    """Return the jobs of segments by budget."""
    return {work.job.budget: work.job_id for work in select(works, "pretraining")}


@pytest.mark.slow
@pytest.mark.parametrize("second", [[30], [20, 30]], ids=str)
@pytest.mark.usefixtures("slow_steps")
def test_two_launches_at_once_train_one_chain(registered, second) -> None:
    """The second comes while the first runs a shorter segment than it asks for."""
    store, works = registered({"matrix": {"factorization": "low", "budget": [20]}})
    _, second_works = registered({"matrix": {"factorization": "low", "budget": second}})
    _, other_works = registered({"matrix": {"factorization": "conventional"}})
    (shortest,) = list_segments(works).values()
    second_works = [replace(work, owner="second") for work in second_works]
    with (
        using(LocalExecutor(1)) as first_executor,
        using(LocalExecutor(1)) as second_executor,
        ThreadPoolExecutor(2) as pool,
    ):
        run_launch(store, other_works, second_executor)  # its worker has started when it is needed
        first_launch = pool.submit(run_launch, store, works, first_executor)
        wait_until(lambda: read_job(store, shortest).state == "running")
        second_launch = pool.submit(run_launch, store, second_works, second_executor)
        assert len(with_ending(first_launch.result(), "done")) == len(works)
        assert len(with_ending(second_launch.result(), "done")) == len(second_works)
    segments = list_segments(works) | list_segments(second_works)
    attempts = store.view("attempts", job_id=list(segments.values())).sort_values("started")
    steps = list(zip(attempts.first_step, attempts.last_step, strict=True))
    ends = sorted(segments)
    assert steps == list(zip([0, *ends], ends, strict=False))
    assert sum(last - first for first, last in steps) == 30


@pytest.mark.slow_on("sqlite")
def test_a_launch_submits_no_segment_while_another_holds_a_shorter_one(registered) -> None:
    store, works = registered({"matrix": {"factorization": "low", "budget": [10, 20]}})
    segments = list_segments(works)
    longer = [replace(work, after=None) for work in works if work.job_id == segments[20]]
    claim = claim_elsewhere(store, segments[10])
    executor = InlineExecutor()
    submitted: list[int] = []

    class EndingClaim(FakeDisplay):
        def update(self, ended: int, total: int, running: Sequence[db.JobFacts]) -> None:
            submitted.append(len(executor.works))
            if len(submitted) == 2:
                end_job(store, claim, "preempted", last_step=5)

    ended = run_launch(store, longer, executor, EndingClaim())
    assert submitted == [0, 0, 1, 0]
    assert len(with_ending(ended, "done")) == 1
    assert len(store.view("attempts", job_id=segments[20])) == 1
