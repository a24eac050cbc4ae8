"""How a store steers: what people ask of launches, and what becomes of jobs that were put back."""

from collections.abc import Sequence

import sqlalchemy as sa

from lcma.db import jobs, policies, steering
from lcma.db.engine import Database
from lcma.db.records import Starved, Stopping, StopRequest


class Steerer:
    """The part of a store with which launches begin and end."""

    database: Database
    _reader: sa.Engine
    _writer: sa.Engine

    def begin_launch(self, owner: str, sweep_id: str, *, now: float | None = None) -> int:
        """Note that a launch of a sweep begins; the number of this event. A request to stop that
        is older does not concern it."""
        with self._writer.begin() as connection:
            return steering.begin(connection, owner, sweep_id, self._clock(connection, now))

    def ask_to_stop(
        self, sweep_ids: Sequence[str] | None, *, by: str, now: float | None = None
    ) -> None:
        """Ask the launches of these sweeps to end, of all where None; those that begin later are
        not concerned."""
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            steering.ask_to_stop(connection, [None] if sweep_ids is None else sweep_ids, by, clock)

    def stop_request(self, sweep_id: str, after: int | None = None) -> StopRequest | None:
        """The last request that the launches of a sweep end, after an event, by default the one
        with which its last launch began; None for none."""
        with self._reader.connect() as connection:
            if after is None:
                after = steering.read_last_launch(connection, sweep_id)
            return steering.read_stop(connection, sweep_id, after)

    def stopping(self) -> list[Stopping]:
        """The requests to stop whose launches still hold jobs, oldest first."""
        with self._reader.connect() as connection:
            return steering.read_stopping(connection)

    def held(self, sweep_id: str | None = None) -> int:
        """How many running jobs the launches of a sweep hold, those of all without one."""
        with self._reader.connect() as connection:
            return steering.count_held(connection, sweep_id)

    def release_sweep(self, sweep_id: str | None, *, now: float | None = None) -> int:
        """Put what the launches of a sweep hold, or of all, back to pending, their attempts
        cancelled; how many. Workers find their lease lost."""
        with self._writer.begin() as connection:
            return steering.release(connection, sweep_id, self._clock(connection, now))

    def give_up(self, job_id: str, *, token: int, why: str, now: float | None = None) -> bool:
        """Fail a pending job that was not claimed since the token, for a reason of a few words;
        False, with nothing changed, where it was."""
        with self._writer.begin() as connection:
            clock = self._clock(connection, now)
            return jobs.give_up(connection, job_id, token=token, why=why, now=clock)

    def starved(self, job_ids: Sequence[str]) -> dict[str, Starved]:
        """Those of the jobs that ran out of memory since a person last asked for a retry."""
        with self._reader.connect() as connection:
            found: dict[str, Starved] = {}
            for some in jobs.chunks(sorted(job_ids)):
                found |= policies.read_starved(connection, some)
            return found

    def _clock(self, connection: sa.Connection, now: float | None) -> float:
        return self.database.clock(connection) if now is None else now
