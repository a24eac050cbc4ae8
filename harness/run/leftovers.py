"""Delivering what workers of this host that died had still to tell a database."""

import contextlib
from collections.abc import Callable

from lcma.db import Store, Unavailable
from lcma.harness.moments import kill_point
from lcma.harness.run.spool import Spooled, left_spools
from lcma.sweeps.errors import UserError


def deliver_leftovers(store: Store, say: Callable[[str], None]) -> None:
    """Commit what lies in spools for this database, each under the claim that it was made with.

    Where that claim is no longer good it is dropped; ``say`` is told, in one line, of an ending
    that was, and of a spool that the database does not take. Raises Unavailable, with the rest
    left for later.
    """
    for path, spooled in left_spools():
        if spooled.place != store.database.place:
            continue
        try:
            _deliver(store, spooled, say)
        except Unavailable:
            raise
        except UserError as error:
            say(f"the spool {path} stays where it is: {error}")
            continue
        with contextlib.suppress(OSError), kill_point("leftover-remove"):
            path.unlink(missing_ok=True)


def _deliver(store: Store, spooled: Spooled, say: Callable[[str], None]) -> None:
    claim, ending = spooled.claim, spooled.ending
    if ending is None:
        if spooled.metrics:
            store.add_metrics(claim, spooled.metrics)
    elif ending.commit(store, claim) is None:
        say(
            f"dropped the '{ending.outcome}' that attempt {claim.attempt_id} at job "
            f"{claim.job_id[:12]} left in a spool: its lease was lost"
        )
