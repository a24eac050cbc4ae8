"""What a launch hands out first, and how much of it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lcma import db
from lcma.harness.run import driver as launches
from lcma.harness.run.driver import Launch
from lcma.harness.run.executor import Finished
from lcma.harness.run.plan import Node
from lcma.harness.run.work import Report, Work
from lcma.harness.train.protocol import PLAIN
from tests.db.measuring import make_result
from tests.harness.run.conftest import Inline, Told
from tests.harness.run.test_waiting import claim_elsewhere

pytestmark = pytest.mark.integration

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Node]]]
SHORT = {"recipe": {"training": {"steps": 2}}}


class Recording(Inline):
    """Ends everything that it is given at once, and remembers the order and the crowd."""

    def __init__(self, store: db.Store) -> None:
        super().__init__()
        self.store = store
        self.titles: list[str] = []
        self.most_free = self.most_chained = 0
        self._after: dict[str, str | None] = {}

    def submit(self, works: Sequence[Work], after: str | None) -> None:
        super().submit(works, after)
        (work,) = works
        self.titles.append(work.title.replace(" realnvp photos8", ""))
        self._after[work.job_id] = after
        waiting = {w.job_id for w in self.works}
        chained = sum(self._after[job_id] in waiting for job_id in waiting)
        self.most_chained = max(self.most_chained, chained)
        self.most_free = max(self.most_free, len(waiting) - chained)

    def wait(self, seconds: float) -> list[Finished]:
        works, self.works = self.works, []
        return [Finished(work.job_id, self._end(work)) for work in works]

    def _end(self, work: Work) -> Report:
        """End a job as done, with nothing trained."""
        claim = claim_elsewhere(self.store, work.job_id)
        result = None
        if work.trial is not None:
            result = make_result(
                trial_id=work.trial.id,
                data_digest=work.job.data_digest,
                step=2,
                protocol=PLAIN.name,
                protocol_body=PLAIN.body,
                precision=PLAIN.precision,
                bits_per_dim=4.0,
            )
        cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
        assert self.store.finish(claim, "done", last_step=2, cost=cost, result=result)
        return Report(work.job_id, "done")


def run(store: db.Store, nodes: Sequence[Node]) -> Recording:
    executor = Recording(store)
    ended = Launch(store, nodes, executor, Told()).run()
    assert len(ended.with_ending("done")) == len(nodes)
    return executor


@pytest.mark.slow
def test_what_unblocks_most_comes_first(registered: Registered, monkeypatch: Any) -> None:
    """Seed 0 has one trial behind it; seed 1 has two, one of them behind the second segment too."""
    monkeypatch.setattr(launches, "WINDOW", 2)
    few = {"factorization": ["conventional", "low", "high"], "budget": [10, 15]}
    store, nodes = registered({"matrix": few, "seeds": 2, **SHORT})
    kept = [n for n in nodes if "budget 15" not in n.work.title and "L" not in n.work.title]
    kept += [n for n in nodes if n.work.title.endswith("L budget 15 seed 1")]
    assert run(store, kept).titles == [
        "pretrain to 10 seed 1",
        "pretrain to 10 seed 0",
        "pretrain to 15 seed 1",
        "pretrain to 15 seed 0",
        "train H budget 10 seed 0",
        "train H budget 10 seed 1",
        "train L budget 15 seed 1",
        "train checkerboard-even seed 0",
        "train checkerboard-even seed 1",
    ]


def test_chains_that_wait_keep_no_others_from_being_handed_out(
    registered: Registered, monkeypatch: Any
) -> None:
    monkeypatch.setattr(launches, "WINDOW", 2)
    few = {"factorization": ["conventional", "low"], "budget": [10, 15, 20]}
    store, nodes = registered({"matrix": few, "seeds": 2, **SHORT})
    executor = run(store, nodes)
    assert (executor.most_free, executor.most_chained) == (2, 2)
    assert len(executor.titles) == len(nodes) == 2 * (3 + 3 + 1)
