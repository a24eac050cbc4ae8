"""Asking the launches of sweeps to end, and seeing that nothing of them goes on."""

import difflib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.db import Store, Sweep
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

ANSWER_SECONDS = 20.0
"""How long launches have to end in good order, before their jobs are taken from them."""

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Stopped:
    """What was stopped: how many jobs were held when it was asked for, and how many of them were
    taken from workers in the end."""

    held: int
    taken: int


def find_sweeps(store: Store, asked: str | None) -> list[Sweep]:
    """The sweeps of that name, or the one of that id, which may be shortened; the newest one where
    none is named. Raises UserError where there is none."""
    sweeps = store.sweeps()
    if not sweeps:
        raise UserError("the database has no sweep, so there is nothing to stop")
    if asked is None:
        return sweeps[-1:]
    found = [s for s in sweeps if s.name == asked]
    if not found and asked:
        found = [s for s in sweeps if s.id.startswith(asked)]
    if not found:
        names = sorted({s.name for s in sweeps})
        near = difflib.get_close_matches(asked, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"
        raise UserError(printable(f"no sweep {asked!r} in the database: {hint}"))
    return found


def stop_sweeps(
    store: Store, sweeps: Sequence[Sweep] | None, *, by: str, seconds: float
) -> Stopped:
    """Ask the launches of these sweeps, or of all, to end, and wait until they hold nothing; after
    so many seconds take what they still hold, so that workers find their lease lost."""
    ids = None if sweeps is None else [sweep.id for sweep in sweeps]
    each: list[str | None] = [None] if ids is None else list(ids)

    def count() -> int:
        return sum(store.count_held_jobs(sweep_id) for sweep_id in each)

    held = count()
    store.request_stop(ids, by=by)
    until = time.monotonic() + seconds
    left = held
    while left and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        left = count()
    taken = sum(store.release_sweep(sweep_id) for sweep_id in each) if left else 0
    return Stopped(held, taken)
