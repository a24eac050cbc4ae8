"""What a store knows of the files that jobs leave outside it, and may forget."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from lcma.db.jobs import chunks
from lcma.db.records import Kind, State
from lcma.db.schema import artifacts, jobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A job as the owner of files: those of its trial or pretraining on its exact data set."""

    job_id: str
    kind: Kind
    trial_id: str | None
    pretraining_id: str | None
    data_digest: str
    state: State


class Keeper:
    """The part of a store that knows of files."""

    _reader: sa.Engine
    _writer: sa.Engine

    def owners(self) -> list[Owner]:
        """Every job, by id."""
        columns = (
            jobs.c.id.label("job_id"),
            *(jobs.c[field.name] for field in fields(Owner) if field.name != "job_id"),
        )
        with self._reader.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(jobs.c.id))
            return [Owner(**row._mapping) for row in rows]

    def artifact_paths(self) -> set[str]:
        """Where all files are that jobs left."""
        with self._reader.connect() as connection:
            return set(connection.execute(sa.select(artifacts.c.path)).scalars())

    def forget_artifacts(self, paths: Sequence[str]) -> int:
        """Take the rows of these files out, which are to be removed; how many."""
        with self._writer.begin() as connection:
            return sum(
                connection.execute(sa.delete(artifacts).where(artifacts.c.path.in_(some))).rowcount
                for some in chunks(sorted(paths))
            )
