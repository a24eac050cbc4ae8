"""Two sites' databases become one: by content, in any order, and never over what is there."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings

import db
from db import migrate
from db.checking import check
from db.merging import Counts, MergeReport, merge
from sweeps.errors import UserError
from tests.db.conftest import COST, DATA, ENVIRONMENT, HALF, TRIALS, World, index_table, result
from tests.db.test_bad_input import listing

Engine = Literal["sqlite", "postgresql"]
ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql")
PAIRS = [(one, other) for one in ENGINES for other in ENGINES]


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


@pytest.fixture
def sites(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sites]:
    found = Sites(request, tmp_path, [])
    yield found
    found.drop()


@pytest.fixture(params=PAIRS, ids=lambda pair: "-into-".join(pair))
def engines(request: pytest.FixtureRequest) -> tuple[Engine, Engine]:
    """The engine of the source and that of the target."""
    pair: tuple[Engine, Engine] = request.param
    return pair


def merged(source: World, target: World, **options: Any) -> MergeReport:
    """Merge, and hold the target against the check and the source against a change."""
    before = source.dump()
    report = merge(source.store.database, target.store.database, **options)
    assert source.dump() == before
    assert check(target.store.database).findings == ()
    return report


def known(world: World) -> dict[str, Any]:
    """All that is known, without numbers that count rows or attempts, and without history."""
    dump = world.dump()
    jobs = {row.id: row.state for row in dump["jobs"]}
    curves = {row.id: (row.job_id, row.name) for row in dump["curves"]}

    def rows(table: str, *without: str) -> list[dict[str, Any]]:
        left_out = {"id", "attempt_id", "job_id", *without} if without else set()
        found = [
            {k: v for k, v in row._mapping.items() if k not in left_out} for row in dump[table]
        ]
        return sorted(found, key=repr)

    return {
        **{name: rows(name) for name in ("recipes", "flow_trials", "sweep_trials", "cells")},
        "jobs": jobs,
        "results": rows("results", "created"),
        "maps": rows("contribution_maps", "created"),
        "tables": rows("index_tables", "created"),
        "overlaps": rows("table_overlaps"),
        "attempts": rows("attempts", "token"),
        "artifacts": rows("artifacts", "created"),
        "metrics": sorted((*curves[row.curve_id], row.step, row.value) for row in dump["metrics"]),
    }


def work(world: World, job: str, outcome: str, owner: str, now: float = 1000.0) -> None:
    """One attempt at a job of the plan, which ends so; nothing where the job has ended."""
    claim = world.claim(job, owner=owner, now=now)
    if isinstance(claim, db.Job):
        return
    if outcome == "running":
        return
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


def test_what_one_site_has_comes_over_whole_and_once(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    source, target = sites.new(engines[0], "filled"), sites.new(engines[1], "empty")
    assert source.evaluate(0)
    report = merged(source, target)
    assert report.changed
    assert report.differences == report.left == ()
    assert report.tables["jobs"] == Counts(new=6)
    assert report.tables["attempts"] == Counts(new=6, left=1)
    assert report.tables["results"] == Counts(new=4)
    here, there = known(target), known(source)
    assert here.pop("jobs") == {**there.pop("jobs"), source.segments[1]: "pending"}
    there["attempts"] = [row for row in there["attempts"] if row["ended"] is not None]
    assert here == there
    (event,) = [row for row in target.dump()["events"] if row.event == "merge"]
    assert event.detail.startswith(f"from {source.store.name}: 2 recipes, 1 data_sets, ")
    assert target.store.results_frame()["evaluation_seconds"].max() == 7.0
    before = target.dump()
    again = merged(source, target)
    assert not again.changed
    assert again.tables["results"] == Counts(equal=4)
    assert target.dump() == before
    assert not merged(target, source).changed


OUTCOMES = st.sampled_from(["nothing", "done", "oom", "diverged", "pruned", "running"])
PLANS = st.lists(st.tuples(OUTCOMES, OUTCOMES), min_size=6, max_size=6)


def test_work_split_over_two_sites_is_the_same_merged_in_any_order(
    sites: Sites, engines: tuple[Engine, Engine]
) -> None:
    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(PLANS, st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
    def hold(plan: Any, of_one: list[int], of_other: list[int]) -> None:
        one, other = (sites.new(engine) for engine in engines)
        jobs = (*one.segments, *one.trials)
        for world, place, evaluated in ((one, 0, of_one), (other, 1, of_other)):
            for job, outcomes in zip(jobs, plan, strict=True):
                if outcomes[place] != "nothing":
                    work(world, job, outcomes[place], f"site {place}")
            for index in evaluated:
                if world.job(world.trials[index]).state == "done":
                    world.evaluate(index, bound_draws=index + place, bound_images=5)
        thirds = [sites.new(engines[1], "empty") for _ in range(2)]
        for source in (one, other):
            merged(source, thirds[0])
        for source in (other, one):
            merged(source, thirds[1])
        first, second = known(thirds[0]), known(thirds[1])
        states = {"jobs": first.pop("jobs"), "other": second.pop("jobs")}
        assert first == second
        for job, outcomes in zip(jobs, plan, strict=True):
            for found in states.values():
                assert (found[job] == "done") == ("done" in outcomes)
                assert (found[job] == "pending") == (
                    not {"done", "oom", "diverged"} & set(outcomes)
                )
        merged(one, other)
        into = known(other)
        for name in ("results", "maps", "tables", "overlaps", "cells"):
            running = {job for job, outcomes in zip(jobs, plan, strict=True) if outcomes[1] == "running"}
            if not running:
                assert into[name] == first[name]
        for world in (other, *thirds):
            before = world.dump()
            assert not merged(one, world).changed
            assert world.dump() == before
        sites.drop()

    hold()
