"""Which jobs a worker gets as one stack, when, and what becomes of a lost stack."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.choice import MAX_MEMBERS, Candidate, deal, find_shapes
from lcma.harness.launch.executor import Finished, Lost
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.work.units import Report, Work
from tests.harness.conftest import merged
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    claim_elsewhere,
    end_job,
    run_launch,
    with_ending,
)

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Work]]]
STACKED = {"recipe": {"optimization": {"stacked": True}, "training": {"steps": 2}}}


def low_with(*recipes: dict[str, Any]) -> dict[str, Any]:
    return {"matrix": {"factorization": ["low"], "recipe": list(recipes)}}


def test_members_at_one_step_come_together() -> None:
    members = [Candidate("same", step) for step in (0, 50, 0, 50, 0, 50)]
    assert deal(members, 2) == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"matrix": {"factorization": ["conventional", "random", "LL", "HH"]}, "seeds": 2}, [2, 8]),
        ({"matrix": {"factorization": ["conventional", "none"]}, "seeds": 3}, [3, 3]),
        ({"matrix": {"factorization": ["low"], "budget": [10, 15]}, "seeds": 2}, [2, 2, 4]),
        (low_with({}, {"maps": {"order": "rank"}}, {"training": {"steps": 4}}), [1, 1, 2]),
        (low_with({"maps": {"nms": "flat"}}, {}), [1, 1, 2]),
        ({"recipe": {"optimization": {"stacked": False}}}, []),
    ],
)
def test_who_can_share_a_stack(registered, change, sizes) -> None:
    """Seeds, factorizations and options of maps may differ; recipes, budgets, splits may not."""
    splits = {"recipe": {"model": {"splits": 2}}} if "LL" in str(change) else {}
    base = {"seeds": 1} | STACKED
    _, works = registered(merged(merged(base, splits), change))
    shapes = find_shapes((work.job, work.subject) for work in works)
    assert sorted(Counter(shapes.values()).values()) == sizes


@dataclass
class Slots(InlineExecutor):
    """Tasks end at the next look. A stack of more than ``fits``, or with the seed ``poison``, is
    lost as ``loss`` says."""

    slots: int | None
    fits: int = MAX_MEMBERS
    loss: Lost | str = "crowded"
    poison: int = -1
    tasks: list[Sequence[Work]] = field(default_factory=list)
    stacks: list[list[str]] = field(default_factory=list)
    crowds: list[int] = field(default_factory=list)

    @property
    def sizes(self) -> list[int]:
        return list(map(len, self.stacks))

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int | None:
        return None if self.slots is None else self.slots - len(self.tasks) - len(before)

    def submit(self, works: Sequence[Work]) -> None:
        self.tasks.append(works)
        self.stacks.append([work.title.replace(" realnvp photos8", "") for work in works])
        self.crowds.append(len(self.tasks))

    def wait(self, seconds: float) -> list[Finished]:
        tasks, self.tasks = self.tasks, []
        return [self.end(work, works) for works in tasks for work in works]

    def end(self, work: Work, works: Sequence[Work]) -> Finished:
        if len(works) <= self.fits and all(n.subject.seed != self.poison for n in works):
            return Finished(work.job_id, Report(work.job_id, "done"))
        if self.loss == "crowded":
            return Finished(work.job_id, Report(work.job_id, "crowded", "memory ran out"))
        return Finished(work.job_id, None, "it died", self.loss)


@pytest.fixture
def trials(registered: Registered) -> Callable[..., tuple[db.Store, list[Work]]]:
    """Return a function that registers some trials of one shape, without maps."""
    change = {"matrix": {"factorization": "random"}} | STACKED
    return lambda seeds: registered(change | {"seeds": seeds})


@pytest.mark.parametrize(
    ("seeds", "slots", "sizes"),
    [
        (1, 2, [1]),
        (5, 2, [3, 2]),
        (24, 4, [6, 6, 6, 6]),
        (30, 2, [12, 12, 3, 3]),
        (13, None, [12, 1]),
    ],
)
def test_ready_trials_are_dealt_over_free_slots(trials, seeds, slots, sizes) -> None:
    """Where their number is not known, one stack runs at a time."""
    executor = Slots(slots)
    assert len(with_ending(run_launch(*trials(seeds), executor), "done")) == seeds
    assert sorted(executor.sizes, reverse=True) == sizes
    assert max(executor.crowds) <= (slots or 1)


@pytest.mark.parametrize("loss", ["crowded", "process", "memory", "error"])
def test_a_lost_stack_runs_again_in_halves_and_counts_against_no_trial(trials, loss) -> None:
    store, works = trials(12)
    executor, display = Slots(2, fits=2, loss=loss), FakeDisplay()
    assert len(with_ending(run_launch(store, works, executor, display), "done")) == 12
    assert sorted(Counter(executor.sizes).items()) == [(1, 12), (3, 4), (6, 2)]
    assert len(display.notes) == 6
    assert display.notes[0].endswith("they are run again in stacks of at most 3")
    assert display.notes[-1].endswith("they are run again one by one")


def test_only_a_trial_that_crashes_alone_is_given_up(trials) -> None:
    store, works = trials(8)
    executor = Slots(1, loss="process", poison=5)
    ended = run_launch(store, works, executor)
    (report,) = with_ending(ended, "failed")
    assert report.message == "it died, 3 times without getting beyond step 0"
    assert len(with_ending(ended, "done")) == 7
    stacks = [stack for stack in executor.stacks if "train random seed 5" in stack]
    assert list(map(len, stacks)) == [8, 4, 2, 1, 1, 1]


def test_a_stack_whose_node_is_lost_stays_as_large(trials) -> None:
    class Lossy(Slots):
        def end(self, work: Work, works: Sequence[Work]) -> Finished:
            self.poison = -1 if len(self.stacks) > 1 else 0
            return super().end(work, works)

    store, works = trials(4)
    executor, display = Lossy(1, loss="node", poison=0), FakeDisplay()
    run_launch(store, works, executor, display)
    assert executor.sizes == [4, 4]
    assert display.notes == [
        "train realnvp photos8 random seed 0 and 3 more in its stack: its node, it died, was lost "
        "and they are run again"
    ]


def test_a_stack_of_another_launch_has_one_place_under_the_cap(trials) -> None:
    store, works = trials(6)
    (sweep,) = store.sweeps()
    claims = [
        claim_elsewhere(store, work.job_id, lease=600.0, stack_id="theirs") for work in works[:3]
    ]

    class EndingClaims(Slots):
        def wait(self, seconds: float) -> list[Finished]:
            while claims:
                end_job(store, claims.pop())
            return super().wait(seconds)

    executor = EndingClaims(4)
    run_launch(store, works, executor, policy=LaunchPolicy(sweep.id, 0, parallel=2))
    assert executor.sizes == [3]
