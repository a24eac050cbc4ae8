"""What a store knows: jobs, results, maps and whatever the views show."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lcma.db import evaluations, frames, listings, reading, seeds
from lcma.db.engine import QueryResult
from lcma.db.frames import Scalar
from lcma.db.listings import DataWait, Failure, LostTrials, MapKey, MapUser, TrainedTrial
from lcma.db.records import (
    Artifact,
    Bar,
    Counts,
    Job,
    Metric,
    News,
    Result,
    RunningJob,
    StoredMap,
    Sweep,
    SweepMember,
)
from lcma.db.seeds import SeededCell

if TYPE_CHECKING:
    import pandas as pd


class Reader:
    """The part of a store that looks things up. Only reads."""

    _reader: sa.Engine

    def job(self, job_id: str) -> Job | None:
        """The job as it stands, None if it is not registered."""
        return self.jobs([job_id]).get(job_id)

    def jobs(self, ids: Sequence[str]) -> dict[str, Job]:
        """Those of the jobs that are registered, by id; thousands at once are fine."""
        with self._reader.connect() as connection:
            return reading.read_jobs(connection, ids)

    def news(self, after: int | None = None) -> News:
        """The last event, and what the events after one are about; None for none.

        Events of transactions that overlap may come to sight in another order than that of their
        ids, on a server: whoever follows them looks back by some.
        """
        with self._reader.connect() as connection:
            return reading.read_news(connection, after)

    def result(self, trial_id: str, data_digest: str, protocol: str) -> Result | None:
        """The result of a trial on one exact data set by a protocol, None if there is none yet."""
        with self._reader.connect() as connection:
            return evaluations.read_result(connection, trial_id, data_digest, protocol)

    def maps(self, **where: Scalar | Collection[Scalar]) -> list[StoredMap]:
        """The contribution maps that match, by data set, flow, seed, budget, score and split;
        empty if there are none yet.

        A keyword names a fact of the pretraining (flow, dataset, variant, seed, nms, recipe_id) or
        a column of `contribution_maps`, and the value, or the values, it may have. Raises UserError
        for another keyword, and naming the row where one is damaged.
        """
        with self._reader.connect() as connection:
            return reading.read_maps(connection, where)

    def bars(self) -> dict[str, list[Bar]]:
        """The bars of every data set by its digest, those left out too."""
        with self._reader.connect() as connection:
            return reading.read_bars(connection)

    def recipe_bodies(self, ids: Sequence[str]) -> dict[str, str]:
        """The JSON of those of the recipes that are registered, by id."""
        with self._reader.connect() as connection:
            return reading.read_recipe_bodies(connection, ids)

    def metrics(self, job_id: str, name: str) -> list[Metric]:
        """One curve of a job by step."""
        with self._reader.connect() as connection:
            return reading.read_metrics(connection, job_id, name)

    def artifacts(self, job_id: str) -> list[Artifact]:
        """The files that a job left, by kind."""
        with self._reader.connect() as connection:
            return reading.read_artifacts(connection, job_id)

    def running(self) -> list[RunningJob]:
        """The running jobs with what they are and how far, those started first at the top."""
        with self._reader.connect() as connection:
            return reading.read_running(connection)

    def counts(self, sweep_id: str | None = None) -> Counts:
        """How many jobs are in each state, of one sweep with its pretrainings, or of all."""
        with self._reader.connect() as connection:
            return reading.read_counts(connection, sweep_id)

    def sweeps(self) -> list[Sweep]:
        """All sweeps, oldest first."""
        with self._reader.connect() as connection:
            return reading.read_sweeps(connection)

    def members(self, sweep_id: str) -> list[SweepMember]:
        """The trials of a sweep under the names that it asked for."""
        with self._reader.connect() as connection:
            return reading.read_members(connection, sweep_id)

    def view(self, name: str, /, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """Rows of a view, always in the same order.

        A keyword names a column and the value, or the values, it may have; None is null. Whole
        numbers that may be null are Int64, the others int64; floats are float64, null is NaN.
        Raises UserError for an unknown view or column, or a value of another type.
        """
        with self._reader.connect() as connection:
            return frames.read_view(connection, name, where)

    def results(
        self, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> "pd.DataFrame":
        """The view `trial_results`, of one sweep's trials or of all; see `view`."""
        with self._reader.connect() as connection:
            return frames.read_view(connection, "trial_results", where, sweep_id)

    def has_results(
        self, *, sweep_id: str | None = None, **where: Scalar | Collection[Scalar]
    ) -> bool:
        """Whether there are results, chosen as in `results`."""
        with self._reader.connect() as connection:
            return seeds.has_any(connection, where, sweep_id)

    def values(self, name: str, *, sweep_id: str | None = None) -> list[Scalar]:
        """The different values of a column of `trial_results`, in order, null first; of one sweep's
        trials or of all. Raises UserError for another column."""
        with self._reader.connect() as connection:
            return seeds.read_values(connection, name, sweep_id)

    def cells(
        self,
        *,
        sweep_id: str | None = None,
        waits_over: float = 0.0,
        **where: Scalar | Collection[Scalar],
    ) -> list[SeededCell]:
        """The cells of these results with the bits/dim of every seed; chosen as in `results`.

        Of shares of time that trainings waited for images, those above ``waits_over`` are given.
        """
        with self._reader.connect() as connection:
            return seeds.read_cells(connection, where, sweep_id, waits_over)

    def leaderboard(self, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """The view of that name; see `view`."""
        return self.view("leaderboard", **where)

    def pairs(self, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """The view of that name; see `view`."""
        return self.view("pairs", **where)

    def coverage(self, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """The view of that name; see `view`."""
        return self.view("coverage", **where)

    def rows(self, name: str, /, **where: Scalar | Collection[Scalar]) -> QueryResult:
        """Rows of a view as the database has them, chosen and in the order as by `view`."""
        with self._reader.connect() as connection:
            return frames.read_rows(connection, name, where)

    def attempts(self, **where: Scalar | Collection[Scalar]) -> "pd.DataFrame":
        """Rows of the table `attempts`, chosen as in `view`."""
        with self._reader.connect() as connection:
            return frames.read_attempts(connection, where)

    def data_manifests(self) -> dict[str, tuple[str, str]]:
        """Name and manifest of every data set by its digest."""
        with self._reader.connect() as connection:
            return listings.read_data_manifests(connection)

    def conventional(self) -> dict[str, str]:
        """What was run where a sweep asked for the conventional factorization, by recipe."""
        with self._reader.connect() as connection:
            return listings.read_conventional(connection)

    def lost_trials(self, sweep_id: str | None = None) -> list[LostTrials]:
        """The trials that diverged or failed, of one sweep or of all, counted by cell."""
        with self._reader.connect() as connection:
            return listings.read_lost_trials(connection, sweep_id)

    def failures(self) -> list[Failure]:
        """The jobs that failed or diverged, the latest first."""
        with self._reader.connect() as connection:
            return listings.read_failures(connection)

    def data_waits(self) -> list[DataWait]:
        """How long attempts waited for images, by data set and device."""
        with self._reader.connect() as connection:
            return listings.read_data_waits(connection)

    def map_keys(self) -> list[MapKey]:
        """Every set of maps, by data set, flow, seed and budget."""
        with self._reader.connect() as connection:
            return listings.read_map_keys(connection)

    def map_users(self) -> list[MapUser]:
        """Every trial that reads maps, planned ones too."""
        with self._reader.connect() as connection:
            return listings.read_map_users(connection)

    def trained(self, trial_ids: Collection[str]) -> list[TrainedTrial]:
        """The jobs of these trials, by data set, flow, factorization, budget and seed."""
        with self._reader.connect() as connection:
            return listings.read_trained(connection, trial_ids)

    def trial_ids(self, start: str) -> list[str]:
        """The ids of trials that start so."""
        with self._reader.connect() as connection:
            return listings.read_trial_ids(connection, start)
