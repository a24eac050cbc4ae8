"""Which jobs are given to a worker as one stack, when, and what becomes of those that are lost."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.choice import MAX_MEMBERS, Candidate, deal, find_shapes
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Executor, Finished, Lost
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.work.units import Report, Work
from tests.harness.conftest import merged
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end, with_ending

Registered = Callable[[dict[str, Any]], tuple[db.Store, list[Work]]]
STACKED = {"recipe": {"optimization": {"stacked": True}, "training": {"steps": 2}}}


def test_members_at_one_step_come_together() -> None:
    steps = [0, 50, 0, 50, 0, 50]
    members = [Candidate("same", step) for step in steps]
    assert deal(members, 2) == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"matrix": {"factorization": ["conventional", "random", "LL", "HH"]}, "seeds": 2}, [2, 8]),
        ({"matrix": {"factorization": ["conventional", "none"]}, "seeds": 3}, [3, 3]),
        ({"matrix": {"factorization": ["low"], "budget": [10, 15]}, "seeds": 2}, [2, 2, 4]),
        (
            {
                "matrix": {
                    "factorization": ["low"],
                    "recipe": [{}, {"maps": {"order": "rank"}}, {"training": {"steps": 4}}],
                },
            },
            [1, 1, 2],
        ),
        (
            {"matrix": {"factorization": ["low"], "recipe": [{"maps": {"nms": "flat"}}, {}]}},
            [1, 1, 2],
        ),
        ({"recipe": {"optimization": {"stacked": False}}}, []),
    ],
)
def test_who_can_share_a_stack(
    registered: Registered, change: dict[str, Any], sizes: list[int]
) -> None:
    """Seeds, factorizations and options of maps may differ; recipes, budgets, splits may not."""
    two = {"recipe": {"model": {"splits": 2}}} if "LL" in str(change) else {}
    base = {"seeds": 1} | STACKED
    _, works = registered(merged(merged(base, two), change))
    shapes = find_shapes((work.job, work.subject) for work in works)
    assert sorted(Counter(shapes.values()).values()) == sizes


class Slots(Inline):
    """Tasks that end at the next look; stacks of more than ``fits`` are lost with ``how``."""

    def __init__(
        self,
        slots: int | None,
        fits: int = MAX_MEMBERS,
        how: Lost | str = "crowded",
        poison: int = -1,
    ) -> None:
        super().__init__()
        self.slots, self.fits, self.how, self.poison = slots, fits, how, poison
        self.tasks: list[Sequence[Work]] = []
        self.given: list[list[str]] = []
        self.crowds: list[int] = []

    @property
    def sizes(self) -> list[int]:
        return list(map(len, self.given))

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int | None:
        return None if self.slots is None else self.slots - len(self.tasks) - len(before)

    def submit(self, works: Sequence[Work]) -> None:
        self.tasks.append(works)
        self.given.append([work.title.replace(" realnvp photos8", "") for work in works])
        self.crowds.append(len(self.tasks))

    def wait(self, seconds: float) -> list[Finished]:
        tasks, self.tasks = self.tasks, []
        return [self.end(work, works) for works in tasks for work in works]

    def end(self, work: Work, works: Sequence[Work]) -> Finished:
        if len(works) <= self.fits and all(w.subject.seed != self.poison for w in works):
            return Finished(work.job_id, Report(work.job_id, "done"))
        if self.how == "crowded":
            return Finished(work.job_id, Report(work.job_id, "crowded", "memory ran out"))
        return Finished(work.job_id, None, "it died", self.how)


@pytest.fixture
def trials(registered: Registered) -> Callable[..., tuple[db.Store, list[Work]]]:
    """Registers so many trials of one shape, without maps."""

    def make(seeds: int, **change: Any) -> tuple[db.Store, list[Work]]:
        one = {"matrix": {"factorization": "random"}, "seeds": seeds}
        return registered(merged(merged(STACKED, one), change))

    return make


def run(
    store: db.Store,
    works: Sequence[Work],
    executor: Executor,
    display: Told | None = None,
    record: LaunchPolicy | None = None,
) -> dict[str, Report]:
    return Launch(store, works, executor, display or Told(), record).run()


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
def test_ready_trials_are_dealt_over_free_slots(
    trials: Any, seeds: int, slots: int | None, sizes: list[int]
) -> None:
    """Without a known number of slots, one stack at a time."""
    executor = Slots(slots)
    assert len(with_ending(run(*trials(seeds), executor), "done")) == seeds
    assert sorted(executor.sizes, reverse=True) == sizes
    assert max(executor.crowds) <= (slots or 1)


def test_trials_join_when_their_maps_are_there_and_none_stands_apart(
    registered: Registered,
) -> None:
    few = {"factorization": ["conventional", "none", "low", "high"], "budget": [10, 15]}
    store, works = registered(merged(STACKED, {"matrix": few, "seeds": 3}))
    executor = Slots(1)
    run(store, works, executor)
    assert [(task[0], len(task)) for task in executor.given] == [
        ("pretrain to 10 seed 0", 3),
        ("pretrain to 15 seed 0", 3),
        ("train L budget 10 seed 0", 12),
        ("train checkerboard-even seed 0", 3),
        ("train none seed 0", 3),
    ]


@pytest.mark.parametrize("how", ["crowded", "process", "memory", "error"])
def test_what_is_lost_as_a_stack_is_run_again_in_halves_and_counts_against_nobody(
    trials: Any, how: str
) -> None:
    store, works = trials(12)
    executor, told = Slots(2, fits=2, how=how), Told()
    assert len(with_ending(run(store, works, executor, told), "done")) == 12
    assert sorted(Counter(executor.sizes).items()) == [(1, 12), (3, 4), (6, 2)]
    assert len(told.notes) == 6
    assert told.notes[0].endswith("they are run again in stacks of at most 3")
    assert told.notes[-1].endswith("they are run again one by one")


def test_only_a_trial_that_crashes_alone_is_given_up(trials: Any) -> None:
    store, works = trials(8)
    executor = Slots(1, how="process", poison=5)
    ended = run(store, works, executor)
    (failed,) = with_ending(ended, "failed")
    assert failed.message == "it died, 3 times without getting beyond step 0"
    assert len(with_ending(ended, "done")) == 7
    assert [len(task) for task in executor.given if "train random seed 5" in task] == [
        8,
        4,
        2,
        1,
        1,
        1,
    ]


def test_a_stack_whose_node_is_lost_stays_as_large(trials: Any) -> None:
    class Lossy(Slots):
        def end(self, work: Work, works: Sequence[Work]) -> Finished:
            self.poison = -1 if len(self.given) > 1 else 0
            return super().end(work, works)

    store, works = trials(4)
    executor, told = Lossy(1, how="node", poison=0), Told()
    run(store, works, executor, told)
    assert executor.sizes == [4, 4]
    assert told.notes == [
        "train realnvp photos8 random seed 0 and 3 more in its stack: its node, it died, was lost "
        "and they are run again"
    ]


def test_a_stack_of_another_launch_has_one_place_under_the_cap(trials: Any) -> None:
    store, works = trials(6)
    (sweep,) = store.sweeps()
    claims = [
        claim_elsewhere(store, work.job_id, lease=600.0, stack_id="theirs") for work in works[:3]
    ]

    class Until(Slots):
        def wait(self, seconds: float) -> list[Finished]:
            while claims:
                end(store, claims.pop())
            return super().wait(seconds)

    executor = Until(4)
    run(store, works, executor, record=LaunchPolicy(sweep.id, 0, parallel=2))
    assert executor.sizes == [3]
