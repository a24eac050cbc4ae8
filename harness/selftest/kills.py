"""Orders to die, and the log of those that were carried out, in a folder that all processes see.

An order is a file that is named for whom it is meant. Who comes to that point moves it away, so
that one process takes it and no other.
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
"""Orders for a worker at no moment in particular: to die, and to stand still for a while."""


@dataclass(frozen=True)
class Order:
    """What is asked: at which moment, `when` of it; ``seconds`` is how long to stand still."""

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
    """One that was carried out, with the state at that moment as the database showed it.

    ``jobs`` counts the jobs by state where it was about none in particular.
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
    jobs: dict[str, int] | None = None

    @property
    def target(self) -> str:
        return f"{self.moment}.{self.when}" if self.when else self.moment


class Orders:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open, self._taken = folder / "orders", folder / "taken"
        self._log = folder / "kills.jsonl"

    def make(self) -> None:
        """Make it, empty."""
        for folder in (self._open, self._taken):
            folder.mkdir(parents=True, exist_ok=True)

    def give(self, order: Order) -> None:
        """Ask for one more; at most one with its target is open."""
        aside = self.folder / f".{uuid.uuid4().hex}.order"
        aside.write_text(json.dumps(asdict(order)), encoding="utf-8")
        aside.rename(self._open / order.target)

    def is_open(self, target: str) -> bool:
        """Whether nobody has taken it yet."""
        return (self._open / target).exists()

    def take(self, target: str) -> Order | None:
        """The order with a target, for nobody else any more; None if there is none."""
        mine = self._taken / f"{target}.{uuid.uuid4().hex}"
        try:
            (self._open / target).rename(mine)
        except OSError:
            return None
        return Order(**json.loads(mine.read_text(encoding="utf-8")))

    def log(self, kill: Kill) -> None:
        """Write down what is about to be done, so that it stays whatever happens next."""
        line = json.dumps(asdict(kill)) + "\n"
        handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def carried_out(self) -> list[Kill]:
        """All of the log."""
        if not self._log.exists():
            return []
        return [parse_kill(line) for line in self._log.read_text(encoding="utf-8").splitlines()]


def parse_kill(line: str) -> Kill:
    """A line of the log."""
    found: dict[str, Any] = json.loads(line)
    return Kill(**found)


def now() -> float:
    """Unix seconds, for the log."""
    return time.time()
