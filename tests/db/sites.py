"""Databases of two sites on any two engines, work on them, and what is known in the end."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.db.merging import MergeReport, merge
from tests.db.conftest import COST, HALF, TRIALS, Engine, World, index_table, result


@dataclass
class Sites:
    """Makes databases on either engine."""

    request: pytest.FixtureRequest
    folder: Path
    made: list[str]

    def new(self, engine: Engine, stage: str = "planned") -> World:
        if engine == "sqlite":
            files = self.request.getfixturevalue("sqlite_templates")
            return World(db.connect(str(files.copy(stage, self.folder)), create=False))
        templates = self.request.getfixturevalue("postgres_templates")
        self.made.append(templates.copy(stage))
        return World(db.connect(templates.server.url(self.made[-1]), create=False))

    def drop(self) -> None:
        for name in self.made:
            self.request.getfixturevalue("postgres").drop(name)
        self.made.clear()


def merged(source: World, target: World, **options: Any) -> MergeReport:
    """Merge, and hold the target against the check."""
    report = merge(source.store.database, target.store.database, **options)
    found = check_integrity(target.store.database).findings
    assert found == (), list(map(str, found))
    return report


def known(world: World) -> dict[str, Any]:
    """All that is known, attempts by `uid`, without numbers that count rows and without history."""
    dump = world.dump()
    uids = {row.id: row.uid for row in dump["attempts"]}
    curves = {row.id: (uids[row.attempt_id], row.name) for row in dump["curves"]}

    def rows(table: str, *without: str) -> list[dict[str, Any]]:
        found = []
        for row in dump[table]:
            own = {k: v for k, v in row._mapping.items() if k not in without}
            for name in ("attempt_id", "superseded_id"):
                if name in own:
                    own[name] = uids[own[name]]
            found.append(own)
        return sorted(found, key=repr)

    plain = ("recipes", "flow_trials", "sweep_trials", "cells", "table_overlaps", "protocols")
    return {
        **{name: rows(name) for name in plain},
        "jobs": {row.id: row.state for row in dump["jobs"]},
        "current": {row.id: uids.get(row.done_attempt_id) for row in dump["jobs"]},
        "results": rows("results", "created"),
        "measures": rows("measures", "created"),
        "contribution_maps": rows("contribution_maps", "id", "created"),
        "index_tables": rows("index_tables", "created"),
        "supersedes": rows("supersedes"),
        "attempts": rows("attempts", "id", "token"),
        "artifacts": rows("artifacts", "id", "created"),
        "metrics": sorted((*curves[row.curve_id], row.step, row.value) for row in dump["metrics"]),
    }


def work(world: World, job: str, outcome: str, owner: str, now: float = 1000.0) -> bool:
    """One attempt at a job of the plan, which ends so; false where the job cannot be claimed.

    It cannot once it has ended, and a segment cannot while a shorter one runs.
    """
    claim = world.claim(job, owner=owner, now=now)
    if isinstance(claim, db.Job):
        return False
    if outcome == "running":
        return True
    made: dict[str, Any] = {}
    if job in world.segments:
        budget = 100 * (1 + world.segments.index(job))
        maps = [world.contribution_map(split, budget) for split in (1, 2)]
        made = {"maps": maps} if outcome == "done" else {}
    else:
        own = TRIALS[world.trials.index(job)]
        points = [db.Metric("loss", step, step / 7) for step in (100, 200)]
        made = {"metrics": points, "tables": [index_table(own.id, 1, HALF)]}
        if outcome == "done":
            made["result"] = result(own.id, 3.0 + world.trials.index(job) / 7)
            made["artifacts"] = [
                db.Artifact(kind="weights", path="a/b", bytes=12, digest="e" * 64, place="x:/runs")
            ]
    assert world.store.finish(claim, outcome, last_step=100, cost=COST, now=now + 1, **made)  # type: ignore[arg-type]
    return True
