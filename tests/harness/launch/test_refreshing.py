"""What a launch reads of its jobs again and again: changes, and the rest in slices."""

from collections.abc import Sequence
from typing import Any

import pytest

from lcma import db
from lcma.db.records import News
from lcma.harness.launch import driver as launches
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Finished
from lcma.harness.work.units import Report, Starved
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end

SLICE = 2


class Elsewhere(Inline):
    """Tasks that find their jobs with another launch, which ends them."""

    def __init__(self, store: db.Store) -> None:
        super().__init__()
        self.store = store
        self.ended: set[str] = set()

    def wait(self, seconds: float) -> list[Finished]:
        works, self.works = self.works, []
        for job_id in {work.job_id for work in works} - self.ended:
            claim = claim_elsewhere(self.store, job_id, lease=60.0)
            end(self.store, claim)
            self.ended.add(job_id)
        return [Finished(work.job_id, Report(work.job_id, "elsewhere")) for work in works]


def test_jobs_that_no_event_tells_of_are_read_in_slices_after_the_first_reading(
    registered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launches, "SLICE", SLICE)
    monkeypatch.setattr(launches, "REFRESH_SECONDS", 0.0)
    store, nodes = registered({"matrix": {"factorization": "conventional"}, "seeds": 7})
    read, starved = store.jobs, launches.read_starved
    sizes: dict[str, list[int]] = {"jobs": [], "starved": []}

    def count_jobs(ids: Sequence[str]) -> dict[str, db.Job]:
        sizes["jobs"].append(len(ids))
        return read(ids)

    def count_starved(of: db.Store, ids: Sequence[str]) -> dict[str, Starved]:
        sizes["starved"].append(len(ids))
        return starved(of, ids)

    last = store.changed_jobs().last
    monkeypatch.setattr(store, "changed_jobs", lambda after=None: News(last, {}))
    monkeypatch.setattr(store, "jobs", count_jobs)
    monkeypatch.setattr(launches, "read_starved", count_starved)
    ended = Launch(store, nodes, Elsewhere(store), Told()).run()
    assert len(ended.with_ending("diverged")) == len(nodes) == 7
    for first, *others in sizes.values():
        assert first == 7
        assert others
        assert max(others) <= SLICE
