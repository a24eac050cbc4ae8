"""What goes into the database and comes out of it: frozen records, one for each kind of row.

All times are float Unix seconds, UTC. All ids are content hashes made by whoever plans, save those
computed here (`Environment.id`, `PlannedJob.id`, `Result.id`): equal content has equal ids, so to
register a thing twice changes nothing. Fields called `created` may be left None: the store fills
in the time of the insert.
"""

from lcma.db.records.content import (
    content_hash,
    row_of,
)
from lcma.db.records.evidence import (
    Artifact,
    ContributionMap,
    Cost,
    Evaluator,
    IndexTable,
    MapStatistics,
    Metric,
    Result,
    StoredMap,
    TableStatistics,
    raw_bytes,
)
from lcma.db.records.plan import (
    Bar,
    DataSet,
    Environment,
    PlannedJob,
    Pretraining,
    Recipe,
    Registration,
    Sweep,
    SweepMember,
    Trial,
)
from lcma.db.records.policy import Cap, Policy, Starved, Stopping, StopRequest
from lcma.db.records.work import (
    EVENTS,
    FAILURES,
    KINDS,
    MOVES,
    OUTCOMES,
    STATES,
    Claim,
    Counts,
    Job,
    Kind,
    News,
    Outcome,
    RunningJob,
    State,
    StateCounts,
)

__all__ = [
    "EVENTS",
    "FAILURES",
    "KINDS",
    "MOVES",
    "OUTCOMES",
    "STATES",
    "Artifact",
    "Bar",
    "Cap",
    "Claim",
    "ContributionMap",
    "Cost",
    "Counts",
    "DataSet",
    "Environment",
    "Evaluator",
    "IndexTable",
    "Job",
    "Kind",
    "MapStatistics",
    "Metric",
    "News",
    "Outcome",
    "PlannedJob",
    "Policy",
    "Pretraining",
    "Recipe",
    "Registration",
    "Result",
    "RunningJob",
    "Starved",
    "State",
    "StateCounts",
    "StopRequest",
    "Stopping",
    "StoredMap",
    "Sweep",
    "SweepMember",
    "TableStatistics",
    "Trial",
    "content_hash",
    "raw_bytes",
    "row_of",
]
