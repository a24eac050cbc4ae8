"""The report of a merge: what was found and done, by table and by name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Scalar = str | int | float | None

TABLES = (
    *("recipes", "data_sets", "bars", "environments", "sweeps", "launches", "pretrainings"),
    *("flow_trials", "sweep_trials", "protocols", "measure_kinds", "jobs", "attempts", "results"),
    *("measures", "contribution_maps", "index_tables", "supersedes", "curves", "artifacts"),
    "verifications",
)
"""The tables whose rows are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of rows of one table of the other database, by what a merge did with them.

    Attributes:
        new: They were missing here.
        completed: They were here and took over what they lacked, as a job its end.
        equal: They were here.
        conflicting: They are here with another value, which stays.
        left: They stay behind, as those of a job that runs here, or is in conflict.
    """

    new: int = 0
    completed: int = 0
    equal: int = 0
    conflicting: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """Two rows of one id that are not alike: `here` stays, `there` is what the other one has."""

    table: str
    key: Mapping[str, Scalar]
    column: str
    here: Scalar
    there: Scalar

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        return f"{self.table} {key}: {self.column} is {self.here} here and {self.there} there"


@dataclass(frozen=True, slots=True)
class Left:
    """A job of which nothing was taken, and why."""

    job_id: str
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject} (job {self.job_id}): {self.reason}"


@dataclass(frozen=True, slots=True)
class MergeReport:
    """Outcome of a merge of `source` into `target`, which are names without passwords.

    `tables` counts the rows of each table of the source that can be merged: points go with their
    curves, and sums, which are made anew, have no count. `studies` are those of Optuna
    in the source, which stay there.
    """

    source: str
    target: str
    dry_run: bool
    tables: Mapping[str, Counts]
    differences: tuple[Difference, ...]
    left: tuple[Left, ...]
    studies: int

    @property
    def changed(self) -> bool:
        """Whether anything was new."""
        return any(counts.new or counts.completed for counts in self.tables.values())


@dataclass(slots=True)
class Tally:
    """The report while it is made."""

    counts: dict[str, dict[str, int]] = field(
        default_factory=lambda: {table: asdict(Counts()) for table in TABLES}
    )
    differences: list[Difference] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    def add(self, table: str, what: str, number: int = 1) -> None:
        """Count rows of a table as one of the fields of `Counts`."""
        self.counts[table][what] += number

    def differ(self, difference: Difference) -> None:
        """Count and name a conflict."""
        self.differences.append(difference)
        self.add(difference.table, "conflicting")

    def copy(self) -> "Tally":
        """Return the tally as it stands, which later counts do not change."""
        counts = {table: dict(own) for table, own in self.counts.items()}
        return Tally(counts, list(self.differences), list(self.left))

    def gains(self) -> str:
        """Return what came over so far, in words; empty for nothing."""
        came = {table: own["new"] + own["completed"] for table, own in self.counts.items()}
        return ", ".join(f"{number} {table}" for table, number in came.items() if number)

    def report(self, source: str, target: str, *, dry_run: bool, studies: int) -> MergeReport:
        """Return the whole report."""
        tables = {table: Counts(**own) for table, own in self.counts.items()}
        return MergeReport(
            source, target, dry_run, tables, tuple(self.differences), tuple(self.left), studies
        )


def first_difference(
    table: str,
    key: Sequence[str],
    columns: Sequence[str],
    here: Mapping[str, Any],
    there: Mapping[str, Any],
) -> Difference | None:
    """Return the first of the columns in which two rows of one key differ; None for none."""
    for name in columns:
        if here[name] != there[name]:
            where = {part: there[part] for part in key}
            return Difference(table, where, name, _shown(here[name]), _shown(there[name]))
    return None


def _shown(value: Any) -> Scalar:
    if isinstance(value, bytes):
        return value.hex()
    # JSON has no word for these.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
