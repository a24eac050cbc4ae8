"""What a store tells of work as it goes on."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from lcma.db import curves, following, pace, trainings
from lcma.db.curves import Curve
from lcma.db.engine import Database
from lcma.db.following import Attempt, CellState, JobFacts, Membership, Rates, Waiting
from lcma.db.pace import Pace
from lcma.db.trainings import Training


class Follower:
    """The part of a store that follows jobs and sweeps. Only reads."""

    database: Database
    _reader: sa.Engine

    def started_so(self, start: str) -> list[JobFacts]:
        """The jobs whose id, or that of their trial or pretraining, starts so."""
        with self._reader.connect() as connection:
            return following.read_started_so(connection, start)

    def job_facts(self, ids: Sequence[str]) -> dict[str, JobFacts]:
        """Those of the jobs that are registered, with what they are, by id."""
        with self._reader.connect() as connection:
            return following.read_facts(connection, ids)

    def segments(self, pretraining_id: str, data_digest: str) -> list[JobFacts]:
        """The segments of a pretraining on one exact data set, by budget."""
        with self._reader.connect() as connection:
            return following.read_segments(connection, pretraining_id, data_digest)

    def history(self, job_ids: Sequence[str]) -> list[Attempt]:
        """All attempts at these jobs with their logs, evaluations too, oldest first."""
        with self._reader.connect() as connection:
            return following.read_attempts(connection, job_ids)

    def memberships(self, trial_ids: Sequence[str]) -> list[Membership]:
        """The sweeps that these trials are in, oldest first."""
        with self._reader.connect() as connection:
            return following.read_memberships(connection, trial_ids)

    def sweeps_with(self, job_ids: Sequence[str]) -> dict[str, set[str]]:
        """Which of these jobs each sweep has, by the sweep's id, oldest first."""
        with self._reader.connect() as connection:
            return following.read_sweeps_with(connection, job_ids)

    def job_ids(self, sweep_id: str) -> list[str]:
        """The jobs of a sweep, the segments that its trials need too."""
        with self._reader.connect() as connection:
            return following.read_job_ids(connection, sweep_id)

    def cell_states(self, sweep_id: str) -> list[CellState]:
        """What each cell of a sweep has and lacks."""
        with self._reader.connect() as connection:
            return following.read_coverage(connection, sweep_id)

    def waiting(self, sweep_id: str) -> list[Waiting]:
        """The segments that pending trials of a sweep wait for."""
        with self._reader.connect() as connection:
            return following.read_waiting(connection, sweep_id)

    def rates(self, sweep_id: str, *, now: float | None = None) -> Rates:
        """How fast a sweep goes, in the last hour."""
        with self._reader.connect() as connection:
            clock = self.database.clock(connection) if now is None else now
            return following.read_rates(connection, sweep_id, clock)

    def decisions(self, job_ids: Sequence[str]) -> dict[str, str]:
        """What was decided about jobs after a failure, such as 'given up: policy oom: 1 used',
        where nothing has happened to them since."""
        with self._reader.connect() as connection:
            return following.read_decisions(connection, job_ids)

    def bodies_of_flows(self, flows: Collection[str]) -> dict[str, str]:
        """The JSON of every recipe of these flows that is registered, by id."""
        with self._reader.connect() as connection:
            return pace.read_bodies_of_flows(connection, flows)

    def paces(self, recipe_ids: Collection[str], data_digests: Collection[str]) -> list[Pace]:
        """How long each job took that is done, with one of these recipes on one of these data."""
        with self._reader.connect() as connection:
            return pace.read_paces(connection, recipe_ids, data_digests)

    def curves(self, job_ids: Sequence[str]) -> list[Curve]:
        """The curves of these jobs that have any point, by job and name."""
        with self._reader.connect() as connection:
            return curves.read_curves(connection, job_ids)

    def points(
        self, curve_id: int, *, after: int, until: int, most: int = 10_000
    ) -> list[tuple[int, float]]:
        """The first points of a curve after one step and up to another: step and value, NaN where
        it is no number."""
        with self._reader.connect() as connection:
            return curves.read_points(connection, curve_id, after, until, most)

    def thinned(self, curve_ids: Sequence[int], every: int) -> dict[int, list[tuple[int, float]]]:
        """Of each curve the points at every so-many-th place from the first on, and the last: step
        and value, NaN where it is no number."""
        with self._reader.connect() as connection:
            return curves.read_thinned(connection, curve_ids, every)

    def trainings(self, sweep_id: str | None = None, job_ids: Sequence[str] = ()) -> list[Training]:
        """What the jobs are that have curves, by id: of a sweep with its pretrainings, and of those
        with these ids."""
        with self._reader.connect() as connection:
            return trainings.read_trainings(connection, sweep_id, job_ids)

    def recipe_ids(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The recipe of each of these jobs that is registered, by the job's id."""
        with self._reader.connect() as connection:
            return curves.read_recipe_ids(connection, job_ids)
