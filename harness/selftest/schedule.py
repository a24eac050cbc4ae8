"""Which orders are given, in which sequence."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.harness.kill_points import DRIVER, FILES
from lcma.harness.selftest.kills import NOW, STOP

COMMITS_OF_WORKERS = ("add_environment", "claim", "heartbeat", "finish", "deliver")
COMMITS_OF_LAUNCHES = ("create", "register", "begin_launch", "mark_lost", "release")

BOUNDARIES = (*COMMITS_OF_LAUNCHES, *DRIVER, *COMMITS_OF_WORKERS, *FILES)
"""Every moment at which a process is killed, before and after it."""

DRIVER_NOW, NODE_NOW, AWAY = "driver", "node", "connection"
"""What happens at no moment in particular, beside `NOW` and `STOP`."""

SHARE_AT_ANY_TIME = 0.15
"""Of all kills, those at no moment in particular."""

EACH = 5
"""How often each boundary is met, before and after it, where there are enough kills."""


@dataclass(frozen=True)
class Wanted:
    """One kill: a boundary and a side of it, or one of the others with no side."""

    moment: str
    when: str = ""
    helps: bool = False
    """Not asked for, but an occasion for one that was."""

    @property
    def target(self) -> str:
        return f"{self.moment}.{self.when}" if self.when else self.moment


def make_schedule(kills: int, seed: int, *, nodes: bool) -> deque[Wanted]:
    """A sequence for so many kills: each boundary before any is met again, in an order that is
    random but for the seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    anyhow = (NOW, DRIVER_NOW, STOP, AWAY, *((NODE_NOW,) if nodes else ()))
    loose = max(1, round(SHARE_AT_ANY_TIME * kills)) if kills > 1 else 0
    sides = [Wanted(moment, when) for moment in BOUNDARIES for when in ("before", "after")]
    if EACH * len(sides) <= kills < EACH * len(sides) + loose:
        loose = kills - EACH * len(sides)
    found = _around(sides, kills - loose, chance)
    for wanted in _around([Wanted(moment) for moment in anyhow], loose, chance):
        found.insert(chance.randint(0, len(found)), wanted)
    return deque(found)


AFTER_DEATHS = ("mark_lost", "deliver", "leftover-remove")
"""Boundaries that are only passed when a worker has died, and the last two when it left an end."""

DEATH = Wanted("spool-end", "after", helps=True)


def with_occasions(these: Sequence[Wanted]) -> list[Wanted]:
    """Them, with as many deaths as there are kills that come after one."""
    needed = sum(one.moment in AFTER_DEATHS for one in these)
    there = sum((one.moment, one.when) == (DEATH.moment, DEATH.when) for one in these)
    return [*these, *[DEATH] * max(0, needed - there)]


def _around(these: Sequence[Wanted], number: int, chance: random.Random) -> list[Wanted]:
    """So many of them, each as often as any other or once more."""
    found: list[Wanted] = []
    while len(found) < number:
        found += chance.sample(these, len(these))
    return found[:number]
