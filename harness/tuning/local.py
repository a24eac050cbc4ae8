"""A study on this machine, without Ray: a thread for each errand, all on one executor."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue

from lcma.harness.run.executor import Executor
from lcma.harness.run.launch import Display
from lcma.harness.tuning.errand import Ending, Errand, Rung, carry_out
from lcma.harness.tuning.sharing import Shared
from lcma.harness.tuning.tuner import Tuner

LOOK_SECONDS = 0.5
"""Between two looks at the study where others are at work on it."""


@dataclass(frozen=True)
class _Said:
    """What an errand's thread says, and where it hears whether it ends."""

    errand: Errand
    what: Rung | Ending | BaseException
    reply: "Queue[bool]" = field(default_factory=Queue)


def run_local(tuner: Tuner, executor: Executor, display: Display, parallel: int) -> None:
    """Until the tuner has nothing left, with so many errands at once."""
    shared, inbox = Shared(executor), Queue[_Said]()
    try:
        _until_done(tuner, shared, inbox, display, parallel)
    finally:
        shared.end()


def _until_done(
    tuner: Tuner, shared: Shared, inbox: "Queue[_Said]", display: Display, parallel: int
) -> None:
    busy = 0
    while True:
        errand = tuner.next() if busy < parallel else "wait"
        if isinstance(errand, Errand):
            work = (errand, shared.share(), display, inbox)
            threading.Thread(target=_carry_out, args=work, daemon=True).start()
            busy += 1
            continue
        if errand is None and not busy:
            return
        with suppress(Empty):
            busy -= _heard(tuner, inbox.get(timeout=LOOK_SECONDS))


def _heard(tuner: Tuner, said: _Said) -> bool:
    """Pass on what an errand says; whether it has ended."""
    if isinstance(said.what, BaseException):
        raise said.what
    if isinstance(said.what, Rung):
        said.reply.put(tuner.rung(said.errand.number, said.what))
        return False
    tuner.ended(said.errand.number, said.what)
    return True


def _carry_out(errand: Errand, executor: Executor, display: Display, inbox: "Queue[_Said]") -> None:
    try:
        for what in carry_out(errand, executor, display):
            said = _Said(errand, what)
            inbox.put(said)
            if isinstance(what, Rung) and said.reply.get():
                inbox.put(_Said(errand, Ending("pruned")))
                return
    except BaseException as error:  # noqa: BLE001 - the main thread raises it
        inbox.put(_Said(errand, error))
