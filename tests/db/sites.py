"""Work on databases of several sites, merges of them, and the evidence that they have."""

import dataclasses
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.db.merge import MergeReport, merge
from lcma.db.publishing import publish
from lcma.db.schema import metadata
from lcma.harness.results.board import read_board
from lcma.harness.show.board import board_as_json
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, DATA, HALF, TRIALS, WEIGHTS, World, index_table, result


def merge_worlds(source: World, target: World, **options: Any) -> MergeReport:
    """Merge, and check the target."""
    report = merge(source.store.database, target.store.database, **options)
    findings = check_integrity(target.store.database).findings
    assert findings == (), list(map(str, findings))
    return report


def read_evidence(world: World) -> dict[str, Any]:
    """Return the evidence of a database, without history and without columns that may differ."""
    dump = world.dump()

    def rows(table: str) -> list[dict[str, Any]]:
        local = [column.name for column in metadata.tables[table].columns if column.info]
        shared = ({k: v for k, v in row._mapping.items() if k not in local} for row in dump[table])
        return sorted(shared, key=repr)

    evidence = metadata.tables.keys() - {"jobs", "events", "t_quantiles"}
    return {
        **{name: rows(name) for name in evidence},
        "jobs": {row.id: row.state for row in dump["jobs"]},
        "current": {row.id: row.done_attempt_id for row in dump["jobs"]},
    }


def read_done_evidence(world: World) -> dict[str, Any]:
    """Return the evidence that no order of merges changes: no states of jobs that are not done."""
    evidence = read_evidence(world)
    current = evidence.pop("current")
    evidence["jobs"] = {job for job, attempt in current.items() if attempt is not None}
    return evidence


def board(world: World) -> str:
    """Return the board by each ranked measure as JSON."""
    ranked = "SELECT DISTINCT m.name FROM measurements m JOIN measure_kinds k ON k.name = m.name"
    names = world.store.sql(f"{ranked} WHERE k.direction IS NOT NULL ORDER BY 1")["name"]
    return "".join(board_as_json(read_board(world.store, measure=name)) for name in names)


class Killed(BaseException):
    """Ends a merge as a signal would: the transaction leaves nothing."""


@contextmanager
def killed_at(commit: int) -> Iterator[None]:
    """Raise `Killed` at the commit of this number, if there is one."""
    numbers = itertools.count(1)

    def count(_: sa.Connection) -> None:
        if next(numbers) == commit:
            raise Killed

    sa.event.listen(sa.Engine, "commit", count)
    try:
        yield
    except Killed:
        pass
    finally:
        sa.event.remove(sa.Engine, "commit", count)


class Launches:
    """Launches at several sites, each with numbers and tables of its own."""

    def __init__(self, worlds: list[World]) -> None:
        self.worlds = worlds
        self.running: list[tuple[int, int, db.Claim]] = []

    def take(self, number: int, action: str, *step: Any) -> None:
        """Take a step, if the job's state allows it."""
        if action == "merge":
            source, target, kill = (*(self.worlds[place] for place in step[:2]), step[2])
            if source is not target:
                with nullcontext() if kill is None else killed_at(kill):
                    merge(source.store.database, target.store.database)
        elif action == "evaluate":
            self._evaluate(*step)
        elif action == "publish":
            self._publish(*step)
        else:
            place, index, outcome, now = step
            world = self.worlds[place]
            job = (*world.segments, *world.trials)[index]
            if action == "rerun" and not world.store.rerun([job], by="ann", why="x", now=now):
                return
            claim = world.claim(job, owner=f"site {place}", now=now)
            if isinstance(claim, db.Claim):
                self.running.append((place, number, claim))
                if outcome != "running":
                    self._finish(outcome, now)

    def end(self) -> None:
        """Finish what is running."""
        while self.running:
            self._finish("done", 1005)

    def _finish(self, outcome: Any, now: float) -> None:
        place, number, claim = self.running.pop()
        world = self.worlds[place]
        products: dict[str, Any] = {"metrics": [db.Metric("loss", number, place / 7)]}
        if outcome == "done" and claim.job_id in world.segments:
            budget = 100 * (1 + world.segments.index(claim.job_id))
            products["maps"] = [world.contribution_map(split, budget, number) for split in (1, 2)]
        elif outcome == "done":
            trial_id = TRIALS[world.trials.index(claim.job_id)].id
            products["result"] = result(trial_id, 3.0 + number / 7)
            kept = np.random.default_rng(number).permutation(HALF.ravel()).reshape(HALF.shape)
            products["tables"] = [index_table(trial_id, 1, kept)]
            products["artifacts"] = [dataclasses.replace(WEIGHTS, path=f"{place}/{number}")]
        cost = dataclasses.replace(COST, seconds=float(number))
        assert world.store.finish(claim, outcome, last_step=100, cost=cost, now=now, **products)

    def _publish(self, place: int, into: int) -> None:
        source, target = self.worlds[place].store.database, self.worlds[into].store.database
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out.db")
            try:
                publish(source, out)
            except UserError as error:
                assert "has ended" in str(error)  # noqa: PT017 - only this one may come
                return
            changed = merge(db.locate(str(out)), target).changed
            assert not (place == into and changed)

    def _evaluate(self, place: int, index: int, draws: int) -> None:
        world = self.worlds[place]
        done = world.store.result(TRIALS[index].id, DATA.digest, "plain")
        if done is None or world.job(world.trials[index]).state == "running":
            return
        bits = done.value("bits_per_dim")
        bound = {"bound_draws": draws, "bound_images": 5, "bound_bits_per_dim": bits - draws / 7}
        by = f"evaluator at {place}"
        world.evaluate(index, bits_per_dim=bits - 1, owner=by, bound_gain=draws / 7, **bound)


def work(world: World, job: str, outcome: str, owner: str, now: float = 1000.0) -> bool:
    """Make an attempt at a job of the plan with this outcome; return False if it is not claimed.

    A job that has ended cannot be claimed, nor a segment while a shorter one runs.
    """
    claim = world.claim(job, owner=owner, now=now)
    if isinstance(claim, db.Job):
        return False
    if outcome == "running":
        return True
    products: dict[str, Any] = {}
    if job in world.trials:
        index = world.trials.index(job)
        trial_id = TRIALS[index].id
        points = [db.Metric("loss", step, step / 7) for step in (100, 200)]
        products = {"metrics": points, "tables": [index_table(trial_id, 1, HALF)]}
        if outcome == "done":
            products |= {"result": result(trial_id, 3.0 + index / 7), "artifacts": [WEIGHTS]}
    elif outcome == "done":
        budget = 100 * (1 + world.segments.index(job))
        products = {"maps": [world.contribution_map(split, budget) for split in (1, 2)]}
    assert world.store.finish(claim, outcome, last_step=100, cost=COST, now=now + 1, **products)
    return True
