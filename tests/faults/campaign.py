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
from tests.faults.sweeps import Launch, Sweep, take_away
from tests.harness.launch.machines import DEADLINE
from tests.stores import list_running

STRIKES = ("driver", "node", "database")
"""Targets that a campaign strikes itself, at any moment: the others are orders to processes."""

KILLS_PER_RUN = 40

AT_ONCE, FRESH_SECONDS = 2, 5.0
"""Most open orders that are not older than so many seconds."""

HEADSTART = 0.25
"""Share of a run's kills that may happen before any of its jobs is done."""

AFTER_DEATH, DEATH = "mark_lost", "report.before"
"""A point that is passed only after a worker has died, and a death before it."""


def list_sides(point: str) -> list[str]:
    """Return the targets at a point."""
    return [f"{point}.before", f"{point}.after"]


def make_targets(kills: int, seed: int, *, nodes: bool = False) -> list[str]:
    """Return so many targets in an order drawn by the seed: a quarter at steps of a training, a
    tenth at any moment, the others at each side of each point, once before any comes again."""
    chance = random.Random(seed)
    at_any_moment = ["worker", "stop", "driver", "database", *(["node"] if nodes else [])]
    at_points = [side for point in POINTS if point != STEP for side in list_sides(point)]
    targets: list[str] = []
    shares = (kills // 4, list_sides(STEP)), (kills // 10, at_any_moment), (kills, at_points)
    for share, kinds in shares:
        end = min(kills, len(targets) + share)
        while len(targets) < end:
            targets += chance.sample(kinds, len(kinds))
        del targets[end:]
    chance.shuffle(targets)
    return targets


def run_campaign(
    make_sweep: Callable[[], Sweep],
    expected: dict[str, Rows],
    targets: Iterable[str],
    seed: int = 0,
) -> Counter[str]:
    """Kill at each of the targets; return the number of kills at each. Fail if a run of the sweep
    leaves other rows than expected, or if three runs in a row kill nothing."""
    remaining, total, idle = list(targets), Counter[str](), 0
    while remaining and idle < 3:
        batch, remaining = remaining[:KILLS_PER_RUN], remaining[KILLS_PER_RUN:]
        run = _Run(make_sweep(), batch, random.Random(f"{seed} {len(remaining)} {idle}"))
        run.run()
        assert find_faults(run.sweep.store) == []
        assert compare_rows(expected, read_rows(run.sweep.store)) == []
        kills = run.sweep.orders.carried_out()
        total += kills
        missed = list((Counter(batch) - kills).elements())
        remaining, idle = missed + remaining, idle + 1 if len(missed) == len(batch) else 0
    assert remaining == [], "there was no occasion"
    return total


class _Run:
    """A run of a sweep, which is launched until it is done, and killed meanwhile."""

    def __init__(self, sweep: Sweep, targets: list[str], chance: random.Random) -> None:
        self.sweep, self.chance, self.number = sweep, chance, len(targets)
        needed = sum(target.partition(".")[0] == AFTER_DEATH for target in targets)
        deaths = [DEATH] * max(0, needed - targets.count(DEATH))
        # What needs a missing database comes first.
        self.remaining = sorted([*targets, *deaths], key=lambda target: "create" not in target)
        self.open_since: dict[str, float] = {}
        self.begun, self.next_strike = 0, 0.0
        self.terminated = False
        self.earlier: set[str] = set()

    def run(self) -> None:
        failures, last = 0, time.monotonic()
        while True:
            with suppress(UserError):  # there is no database yet
                self.earlier.update(
                    o for (o,) in self.sweep.store.rows(sa.select(launches.c.owner))
                )
            launch, self.terminated = self.sweep.launch(armed=True), False
            before = self.kills()
            while (code := launch.poll()) is None:
                self.give_orders(launch)
                time.sleep(0.1)
                assert time.monotonic() < last + DEADLINE, self.sweep.output()
            if code == 0:
                self.sweep.orders.withdraw()
                return
            last = time.monotonic()
            failures = 0 if self.kills() > before or self.terminated else failures + 1
            assert failures < 3, self.sweep.output()

    def kills(self) -> int:
        return self.sweep.orders.carried_out().total()

    def give_orders(self, launch: Launch) -> None:
        clock = time.monotonic()
        for target in [t for t in self.open_since if not self.sweep.orders.is_open(t)]:
            del self.open_since[target]
            if target == "stop":  # a launch that ends now leaves a job to another one
                self.next_strike = clock
                self.remaining.sort(key=lambda target: target != "driver")
        fresh = sum(clock - since < FRESH_SECONDS for since in self.open_since.values())
        for target in list(self.remaining):
            if fresh >= AT_ONCE or self.begun >= self.allowed():
                break
            if target in self.open_since:
                continue
            if "." not in target:
                if clock < self.next_strike or not self.is_busy():
                    continue
                self.next_strike = clock + self.chance.uniform(0.5, 4.0)
            self.remaining.remove(target)
            self.begun, fresh = self.begun + 1, fresh + 1
            if target in STRIKES:
                self.strike(target, launch)
            else:
                self.sweep.orders.give(target)
                self.open_since[target] = clock
        if any("release" in target for target in self.open_since) and self.is_busy():
            if not self.terminated:  # so that it puts its jobs back
                launch.send_signal(signal.SIGTERM)
            self.terminated = True

    def allowed(self) -> int:
        """Return how many kills may have begun, so that they are spread over the sweep."""
        counts = {}
        with suppress(UserError):  # there is no database yet
            counts = self.sweep.store.job_counts().by_state
        done, jobs = counts.get("done", 0), sum(counts.values()) or 1
        return math.ceil(self.number * (done + HEADSTART * jobs) / jobs)

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
            take_away(self.sweep.database)
