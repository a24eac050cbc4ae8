"""Boundaries at which processes are killed, and the order in which they come."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.harness.kill_points import DRIVER, FILES
from lcma.harness.selftest.kills import NOW, STOP

COMMITS_OF_WORKERS = ("add_environment", "claim", "heartbeats", "finish", "deliver")
COMMITS_OF_LAUNCHES = ("create", "register", "begin_launch", "mark_lost", "release")
"""Commits to the database, by the methods of `lcma.db.Store`, but for those of `FUNCTIONS`."""

FUNCTIONS = {
    "create": ("lcma.db.migrate", "upgrade"),
    "deliver": ("lcma.harness.run.spool", "deliver_spool"),
}
"""Commits named by the function that makes them, as (module, function): the tables are created, and
what a dead worker left in a spool is delivered."""

STORE_METHODS = tuple(
    name for name in (*COMMITS_OF_LAUNCHES, *COMMITS_OF_WORKERS) if name not in FUNCTIONS
)

BOUNDARIES = (*COMMITS_OF_LAUNCHES, *DRIVER, *COMMITS_OF_WORKERS, *FILES)
"""Every point at which a process is killed, before and after it, beside the steps of a training."""

STEP = "step"
"""The point that a worker passes with each step of a training between two checkpoints."""

DRIVER_NOW, NODE_NOW, AWAY = "driver", "node", "connection"
"""Targets that the campaign itself strikes, at no point in particular."""

SHARE_AT_STEPS = 0.25
"""The share of kills at a step of a training."""

SHARE_AT_ANY_TIME = 0.15
"""The share of the others at no point in particular."""

EACH = 5
"""Kills on each side of each boundary, where there are enough kills."""


@dataclass(frozen=True)
class PlannedKill:
    """A kill to come: at a boundary, on a side of it, or at no point in particular."""

    moment: str
    when: str = ""
    helps: bool = False
    """True for one that is not counted: it gives an occasion for one that is."""

    @property
    def target(self) -> str:
        """The name of its order."""
        return f"{self.moment}.{self.when}" if self.when else self.moment


def make_schedule(kills: int, seed: int, *, nodes: bool) -> deque[PlannedKill]:
    """Return a sequence of so many kills: every boundary once before any comes again, in an order
    drawn by the seed; ``nodes`` says that there are nodes of a cluster to kill."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    at_steps = round(SHARE_AT_STEPS * kills)
    kills -= at_steps
    anyhow = (NOW, DRIVER_NOW, STOP, AWAY, *((NODE_NOW,) if nodes else ()))
    loose = max(1, round(SHARE_AT_ANY_TIME * kills)) if kills > 1 else 0
    sides = [PlannedKill(moment, when) for moment in BOUNDARIES for when in ("before", "after")]
    if EACH * len(sides) <= kills < EACH * len(sides) + loose:
        loose = kills - EACH * len(sides)
    found = _around(sides, kills - loose, chance)
    steps = [PlannedKill(STEP, when) for when in ("before", "after")]
    for wanted in (
        *_around([PlannedKill(moment) for moment in anyhow], loose, chance),
        *_around(steps, at_steps, chance),
    ):
        found.insert(chance.randint(0, len(found)), wanted)
    return deque(found)


AFTER_DEATHS = ("mark_lost", "deliver", "leftover-remove")
"""Boundaries that are only passed after a worker has died; the last two only if its spool holds an
ending."""

DEATH = PlannedKill("spool-end", "after", helps=True)


def with_occasions(these: Sequence[PlannedKill]) -> list[PlannedKill]:
    """Return them with as many deaths of workers as there are kills that need one before."""
    needed = sum(one.moment in AFTER_DEATHS for one in these)
    there = sum((one.moment, one.when) == (DEATH.moment, DEATH.when) for one in these)
    return [*these, *[DEATH] * max(0, needed - there)]


def _around(these: Sequence[PlannedKill], number: int, chance: random.Random) -> list[PlannedKill]:
    found: list[PlannedKill] = []
    while len(found) < number:
        found += chance.sample(these, len(these))
    return found[:number]
