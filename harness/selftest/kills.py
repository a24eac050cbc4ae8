"""Orders to die, and the log of those carried out, in a folder that all processes see.

An order is a file named by its point. A process that comes to that point moves the file away, so
that it alone takes the order.
"""

import json
import os
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Who = Literal["worker", "driver", "node", "connection"]
How = Literal["killed", "stopped", "terminated", "taken away"]

NOW, STOP = "now", "stop"
"""Orders for a worker at no point in particular: to die, and to stand still for a while."""


@dataclass(frozen=True)
class KillOrder:
    """An order to die ``when`` ('before' or 'after') a point ``moment`` is passed, or to stand
    still for ``seconds``."""

    number: int
    moment: str
    when: str = ""
    seconds: float = 0.0
    round: int = 0

    @property
    def target(self) -> str:
        """The name of its file, and of its row in a report."""
        return f"{self.moment}.{self.when}" if self.when else self.moment


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A kill that was carried out, with the job's state at that time as the database showed it.

    ``step`` is the last that the database had been told, ``trained`` the one that the training had
    reached, ``checkpoint`` that of its last checkpoint, None before the first. ``jobs`` counts the
    jobs by state where the kill hit no job in particular.
    """

    number: int
    round: int
    who: Who
    how: How
    moment: str
    when: str
    host: str
    pid: int
    time: float
    job_id: str | None = None
    kind: str | None = None
    state: str | None = None
    step: int | None = None
    steps: int | None = None
    token: int | None = None
    trained: int | None = None
    checkpoint: int | None = None
    jobs: dict[str, int] | None = None

    @property
    def target(self) -> str:
        """The name of its order."""
        return f"{self.moment}.{self.when}" if self.when else self.moment

    @property
    def between_checkpoints(self) -> bool:
        """True if the training had gone on since its last checkpoint."""
        return None not in (self.trained, self.checkpoint) and self.trained != self.checkpoint


class KillOrders:
    """A folder of orders and their log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open, self._taken = folder / "orders", folder / "taken"
        self._log = folder / "kills.jsonl"

    def make(self) -> None:
        """Create the folder, empty."""
        for folder in (self._open, self._taken):
            folder.mkdir(parents=True, exist_ok=True)

    def give(self, order: KillOrder) -> None:
        """Add an order; at most one with its target may be open."""
        aside = self.folder / f".{uuid.uuid4().hex}.order"
        aside.write_text(json.dumps(asdict(order)), encoding="utf-8")
        aside.rename(self._open / order.target)

    def is_open(self, target: str) -> bool:
        """Return whether no process has taken the order with a target yet."""
        return (self._open / target).exists()

    def take(self, target: str) -> KillOrder | None:
        """Take the order with a target, so that no other process gets it; None if there is none."""
        mine = self._taken / f"{target}.{uuid.uuid4().hex}"
        try:
            (self._open / target).rename(mine)
        except OSError:
            return None
        return KillOrder(**json.loads(mine.read_text(encoding="utf-8")))

    def log(self, kill: Kill) -> None:
        """Write a kill to the disk before it is carried out."""
        line = json.dumps(asdict(kill)) + "\n"
        handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def carried_out(self) -> list[Kill]:
        """Return the kills in the log, oldest first."""
        if not self._log.exists():
            return []
        return [parse_kill(line) for line in self._log.read_text(encoding="utf-8").splitlines()]


def parse_kill(line: str) -> Kill:
    """Return the kill in a line of the log."""
    found: dict[str, Any] = json.loads(line)
    return Kill(**found)


def now() -> float:
    """Return the time in Unix seconds, for the log."""
    return time.time()
