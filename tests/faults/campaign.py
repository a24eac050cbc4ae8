"""A sweep whose processes are killed at given targets, in as many runs of it as that takes."""

import math
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

import sqlalchemy as sa

from lcma.db.schema import launches
from lcma.sweeps.errors import UserError
from tests.faults.contents import Rows, compare_rows, find_faults, read_rows
from tests.faults.points import POINTS, STEP
from tests.faults.sweeps import Launch, Sweep, away
from tests.harness.launch.machines import DEADLINE
from tests.stores import list_running

STRIKES = ("driver", "node", "database")
"""Targets that a campaign strikes itself, at any moment: the others are orders to processes."""

A_ROUND = 40
"""Kills in one run of the sweep."""

AT_ONCE, FRESH_SECONDS = 2, 5.0
"""The most orders that are open at a time, except those that no process took for so long."""

HEADSTART = 0.25
"""Share of a run's kills that may happen before any of its jobs is done."""

AFTER_DEATH, DEATH = "mark_lost", "report.before"
"""A point that is passed only after a worker has died, and a death before it."""


def sides(point: str) -> list[str]:
    """Return the targets at a point."""
    return [f"{point}.before", f"{point}.after"]


def make_targets(kills: int, seed: int, *, nodes: bool = False) -> list[str]:
    """Return so many targets in an order drawn by the seed: a quarter at steps of a training, an
    tenth at any moment, the others at each side of each point, once before any comes again."""
    chance = random.Random(seed)
    anyhow = ["worker", "stop", "driver", "database", *(["node"] if nodes else [])]
    points = [side for point in POINTS if point != STEP for side in sides(point)]
    found: list[str] = []
    rest = kills - kills // 4 - kills // 10
    for number, these in ((kills // 4, sides(STEP)), (kills // 10, anyhow), (rest, points)):
        drawn: list[str] = []
        while len(drawn) < number:
            drawn += chance.sample(these, len(these))
        found += drawn[:number]
    chance.shuffle(found)
    return found


def run_campaign(
    new_sweep: Callable[[], Sweep], expected: dict[str, Rows], targets: Iterable[str], seed: int = 0
) -> Counter[str]:
    """Kill at each of the targets; return how often it was done. Fail where a run of the sweep
    leaves other rows than expected, or where three in a row meet no target."""
    left, met, idle = list(targets), Counter[str](), 0
    while left and idle < 3:
        batch, left = left[:A_ROUND], left[A_ROUND:]
        one = _Round(new_sweep(), batch, random.Random(f"{seed} {len(left)} {idle}"))
        one.run()
        assert find_faults(one.sweep.store) == []
        assert compare_rows(expected, read_rows(one.sweep.store)) == []
        kills = one.sweep.orders.carried_out()
        met += kills
        unmet = list((Counter(batch) - kills).elements())
        left, idle = unmet + left, idle + 1 if len(unmet) == len(batch) else 0
    assert left == [], "there was no occasion"
    return met


class _Round:
    """One run of a sweep: launched until it is done, and killed meanwhile."""

    def __init__(self, sweep: Sweep, targets: list[str], chance: random.Random) -> None:
        self.sweep, self.chance, self.number = sweep, chance, len(targets)
        needed = sum(target.partition(".")[0] == AFTER_DEATH for target in targets)
        deaths = [DEATH] * max(0, needed - targets.count(DEATH))
        # What needs a missing database comes first.
        self.left = sorted([*targets, *deaths], key=lambda target: "create" not in target)
        self.given: dict[str, float] = {}
        self.begun, self.next_loose = 0, 0.0
        self.terminated = False
        self.earlier: set[str] = set()

    def run(self) -> None:
        failures, last = 0, time.monotonic()
        while True:
            with suppress(UserError):  # there is no database yet
                self.earlier |= {
                    owner for (owner,) in self.sweep.store.rows(sa.select(launches.c.owner))
                }
            launch, self.terminated = self.sweep.launch(armed=True), False
            before = self.kills()
            while (code := launch.poll()) is None:
                self.give_orders(launch)
                time.sleep(0.1)
                assert time.monotonic() < last + DEADLINE, self.sweep.said()
            if code == 0:
                self.sweep.orders.withdraw()
                return
            last = time.monotonic()
            failures = 0 if self.kills() > before or self.terminated else failures + 1
            assert failures < 3, self.sweep.said()

    def kills(self) -> int:
        return self.sweep.orders.carried_out().total()

    def give_orders(self, launch: Launch) -> None:
        clock = time.monotonic()
        for target in [t for t in self.given if not self.sweep.orders.is_open(t)]:
            del self.given[target]
            if target == "stop":  # a launch that ends now leaves a job to another one
                self.next_loose = clock
                self.left.sort(key=lambda one: one != "driver")
        fresh = sum(clock - since < FRESH_SECONDS for since in self.given.values())
        for target in list(self.left):
            if fresh >= AT_ONCE or self.begun >= self.allowed():
                break
            if target in self.given:
                continue
            if "." not in target:
                if clock < self.next_loose or not self.is_busy():
                    continue
                self.next_loose = clock + self.chance.uniform(0.5, 4.0)
            self.left.remove(target)
            self.begun, fresh = self.begun + 1, fresh + 1
            if target in STRIKES:
                self.strike(target, launch)
            else:
                self.sweep.orders.give(target)
                self.given[target] = clock
        if any("release" in target for target in self.given) and self.is_busy():
            if not self.terminated:  # so that it puts its jobs back
                launch.send_signal(signal.SIGTERM)
            self.terminated = True

    def allowed(self) -> int:
        """Return how many kills may have begun, so that they are spread over the sweep."""
        jobs = {}
        with suppress(UserError):  # there is no database yet
            jobs = self.sweep.store.job_counts().by_state
        done, whole = jobs.get("done", 0), sum(jobs.values()) or 1
        return math.ceil(self.number * (done + HEADSTART * whole) / whole)

    def is_busy(self) -> bool:
        """Return whether the launch that was started last has running jobs."""
        with suppress(UserError):
            return any(job.owner not in self.earlier for job in list_running(self.sweep.store))
        return False

    def strike(self, target: str, launch: Launch) -> None:
        """Kill the launch or a node, or take the database away, from this process."""
        self.sweep.orders.note(target)
        if target == "driver":
            launch.send_signal(signal.SIGKILL)
            launch.wait()
        elif target == "node":
            assert self.sweep.machines is not None
            self.sweep.machines.replace_one(self.chance, self.sweep.environment(armed=True))
        else:
            away(self.sweep.database)
