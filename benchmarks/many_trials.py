"""A database of many finished trials, made once and kept.

Its rows are those that the store would have written, but for events and curves. A thousand trials
have one recipe (of 4 flows and 5 data sets), with 100 cells of ten seeds: 8 words at 12 budgets and
4 factorizations without maps. Of a hundred trials one has failed and two are pending.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from benchmarks.trackers import ENVIRONMENT
from lcma import db
from lcma.db import schema
from lcma.db.migrate import current_version
from lcma.db.results import hash_measure, hash_protocol
from lcma.db.sqlite import open_writer

FLOWS = ("realnvp", "glow", "iresnet", "resflow")
SETS = ("cifar10", "imagenet32", "imagenet64", "celeba64", "photos16")
WORDS = tuple("".join(word) for word in product("LH", repeat=3))
BUDGETS = tuple(range(500, 6500, 500))
PLAIN = ("checkerboard-even", "channel", "rows", "random")
SEEDS = 10
CELLS = len(WORDS) * len(BUDGETS) + len(PLAIN)
"""Of a recipe."""

Named = tuple[tuple[str, int | None], ...]
MAPPED: Named = (*product(WORDS, BUDGETS), *((name, None) for name in PLAIN))
UNMAPPED: Named = tuple((f"rule-{number}", None) for number in range(CELLS))
"""Factorizations and budgets of a recipe's cells, with maps and without."""

STEPS = 5000
PROTOCOL = {"name": "plain", "precision": "float32", "body": "{}"}
PROTOCOL_ID = hash_protocol(PROTOCOL)
RANKED = ("bits_per_dim", "holdout_bits_per_dim", "seconds_per_step")
"""The measures of every result; two that are not ranked stand beside them."""

Row = dict[str, Any]


def make_database(folder: Path, trials: int, *, maps: bool = True) -> str:
    """Return the URL of the SQLite database of so many trials that is kept in a folder; make it
    where it is not there.

    Without `maps` none of its trials needs any.
    """
    version = current_version().replace("-", "_")
    path = folder / f"lcma_{trials}_trials{'' if maps else '_plain'}_{version}.db"
    url = f"sqlite:///{path}"
    if path.exists():
        with db.connect(url) as store:
            if store.job_counts().trial.done:
                return url
        path.unlink()
    with db.connect(url) as store:
        store.add_environment(ENVIRONMENT)
    _write(path, _tables(max(1, trials // (CELLS * SEEDS)), MAPPED if maps else UNMAPPED))
    return url


def _tables(recipes: int, named: Named) -> Iterator[tuple[sa.Table, Iterable[Row]]]:
    """Rows by table, in the order of references."""
    places = [(FLOWS[k % 4], SETS[k // 4 % 5]) for k in range(recipes)]
    digests = {name: _hash("data", name) for name in SETS}
    yield (
        schema.recipes,
        [
            _recipe(k, flow, part)
            for k, (flow, _) in enumerate(places)
            for part in ("with", "without")
        ],
    )
    yield schema.data_sets, [_data_set(name, digest) for name, digest in digests.items()]
    sweeps = [{"id": _hash("sweep", k), "name": f"sweep {k}"} for k in range(recipes // 10 + 1)]
    yield schema.sweeps, [row | {"spec": "{}", "created": 1.0} for row in sweeps]
    pretrainings = [
        {
            "id": _hash("pretraining", k, seed),
            "recipe_id": _recipe_id(k, "without"),
            "flow": flow,
            "dataset": dataset,
            "variant": "u8",
            "seed": seed,
            "nms": "squeezed",
        }
        for k, (flow, dataset) in enumerate(places)
        for seed in range(SEEDS)
        if named == MAPPED
    ]
    yield schema.pretrainings, list(pretrainings)
    trials = [
        row for k, (flow, dataset) in enumerate(places) for row in _trials(k, flow, dataset, named)
    ]
    yield schema.trials, list(trials)
    asked = [
        {
            "sweep_id": sweeps[place // (10 * CELLS * SEEDS)]["id"],
            "trial_id": row["id"],
            "factorization": row["factorization"],
        }
        for place, row in enumerate(trials)
    ]
    yield schema.sweep_trials, asked
    jobs: list[Row] = []
    for number, row in enumerate(trials):
        state = {7: "failed", 23: "pending", 71: "pending"}.get(number % 101, "done")
        planned = db.PlannedJob.of_trial(row["id"], digests[row["dataset"]], steps=STEPS)
        # Attempts are numbered as jobs are.
        jobs.append(_job(planned, state, None if state == "pending" else number + 1))
    for row in pretrainings:
        for budget in BUDGETS:
            planned = db.PlannedJob.of_pretraining(
                row["id"], digests[row["dataset"]], budget=budget
            )
            jobs.append(_job(planned, "done", len(jobs) + 1))
    yield schema.jobs, list(jobs)
    yield schema.attempts, (_attempt(job) for job in jobs if job["attempt_id"] is not None)
    done = [pair for pair in zip(trials, jobs, strict=False) if pair[1]["state"] == "done"]
    values = np.random.default_rng(0).normal(3.5, 0.1, size=len(done)).tolist()
    yield schema.protocols, [PROTOCOL | {"id": PROTOCOL_ID}]
    yield (
        schema.measures,
        (
            row
            for (trial, job), value in zip(done, values, strict=True)
            for row in _measures(trial, job, value)
        ),
    )


def _measures(trial: Row, job: Row, value: float) -> Iterator[Row]:
    shared = {
        "attempt_id": job["attempt_id"],
        "protocol": "plain",
        "protocol_id": PROTOCOL_ID,
        "measured_by": job["attempt_id"],
        "created": 2.0,
        "standard_error": 0.01,
        "images": 10000,
        "clusters": None,
    }
    numbers = dict.fromkeys(RANKED, value) | {"log_det": -100.0, "log_prior": -700.0}
    for name, number in numbers.items():
        row = shared | {"name": name, "value": number}
        yield row | {"digest": hash_measure(row)}


def _trials(number: int, flow: str, dataset: str, named: Named) -> Iterator[Row]:
    for (factorization, budget), seed in product(named, range(SEEDS)):
        yield {
            "id": _hash("trial", number, factorization, budget, seed),
            "recipe_id": _recipe_id(number, "with"),
            "flow": flow,
            "profile": "tiny",
            "dataset": dataset,
            "variant": "u8",
            "factorization": factorization,
            "seed": seed,
            "budget": budget,
            "pretraining_id": None if budget is None else _hash("pretraining", number, seed),
            "map_options": None,
        }


def _recipe_id(number: int, part: str) -> str:
    return _hash("recipe", number, part)


def _recipe(number: int, flow: str, part: str) -> Row:
    return {
        "id": _recipe_id(number, part),
        "flow": flow,
        "profile": "tiny",
        "splits": 3 if part == "with" else 0,
        "size": 32,
        "steps": STEPS,
        "body": "{}",
        "conventional": PLAIN[0] if part == "with" else "none",
    }


def _data_set(name: str, digest: str) -> Row:
    counts = {"train": 45000, "holdout": 5000, "test": 10000}
    shape = {"height": 32, "width": 32, "channels": 3}
    own = {"digest": digest, "name": name, "variant": "u8", "manifest": "{}", "created": 1.0}
    return own | counts | shape


def _job(planned: db.PlannedJob, state: str, attempt: int | None) -> Row:
    attempt_id = None if attempt is None else _hash("attempt", attempt)
    return {
        "id": planned.id,
        **asdict(planned),
        "state": state,
        "step": 0 if state == "pending" else planned.steps,
        "token": 0 if attempt is None else 1,
        "attempt_id": attempt_id,
        "done_attempt_id": attempt_id if state == "done" else None,
        **dict.fromkeys(("owner", "host", "pid", "lease_until", "stopped_by")),
        "updated": 2.0,
    }


def _attempt(job: Row) -> Row:
    done = job["state"] == "done"
    return {
        **dict.fromkeys(schema.attempts.c.keys()),
        "id": job["attempt_id"],
        "job_id": job["id"],
        "token": 1,
        "owner": "benchmark",
        "host": "here",
        "environment_id": ENVIRONMENT.id,
        "device": "cpu",
        "threads": 1,
        "lease_seconds": 600.0,
        "started": 1.0,
        "ended": 2.0,
        "outcome": "done" if done else "oom",
        "message": "" if done else "no memory",
        "first_step": 0,
        "last_step": job["step"],
        "seconds": 60.0,
        "cpu_seconds": 50.0,
        "images_per_second": 1000.0,
        "peak_memory": 2**30,
        "data_wait": 0.01,
        "evaluated_step": STEPS if done and job["kind"] == "trial" else None,
    }


def _hash(*what: object) -> str:
    return hashlib.blake2b(repr(what).encode(), digest_size=10).hexdigest()


def _tuples(table: sa.Table, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    names = [column.name for column in table.columns]
    keys = [column.name for column in table.primary_key.columns]
    if isinstance(rows, list):  # sorted ids fill an index fast
        rows.sort(key=lambda row: [row[key] for key in keys])
    for row in rows:
        yield tuple(row[name] for name in names)


def _write(path: Path, tables: Iterable[tuple[sa.Table, Iterable[Row]]]) -> None:
    with closing(open_writer(path, foreign_keys=False)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-500000")
        connection.execute("BEGIN IMMEDIATE")
        for table, rows in tables:
            # With the columns' names: their order in the database may be another.
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            places = ", ".join("?" for _ in table.columns)
            statement = f"INSERT INTO {table.name} ({names}) VALUES ({places})"
            connection.executemany(statement, _tuples(table, rows))
        connection.execute("COMMIT")
        connection.execute("ANALYZE")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
