"""Launches share a pretraining, whatever budgets each of them asks for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
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
    with_ending,
)

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Work]]]


@pytest.fixture
def place(new_url: Callable[[Stage], str], place: Place) -> Place:
    """A place on each engine."""
    return replace(place, db=new_url("empty"))


def list_segments(works: Sequence[Work]) -> dict[int, str]:
    """Return the jobs of segments by budget."""
    return {work.job.budget: work.job_id for work in select(works, "pretraining")}


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
