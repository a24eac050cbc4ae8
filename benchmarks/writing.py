"""What a store takes in at once: points of curves, and contribution maps."""

import time
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from benchmarks.places import Site
from benchmarks.worlds import COST, DATA, DIGEST, ENVIRONMENT, RECIPE, lifecycle_plan, trial_id
from lcma import db

BATCHES = (100, 1000, 10_000)
"""Points of a call."""

CHANNELS, SIDE, SPLITS = 3, 32, 3


def ingest(site: Site, points: int, rounds: int) -> list[dict[str, Any]]:
    """Rows a second of `add_metrics`, one process, each batch in a transaction of its own."""
    found = []
    for batch in BATCHES:
        rates = [_ingest_once(site, points, batch) for _ in range(rounds)]
        found.append({"batch": batch, "rates": rates})
        print(
            f"  ingest, {batch} points a call: {median(rates):.0f} rows/s "
            f"({min(rates):.0f} to {max(rates):.0f})",
            flush=True,
        )
    return found


def _ingest_once(site: Site, points: int, batch: int) -> float:
    with site.fresh() as url:
        store = db.connect(url)
        rate = _ingest_into(store, points, batch)
        store.close()
    return rate


def _ingest_into(store: db.Store, points: int, batch: int) -> float:
    store.register(lifecycle_plan(10))
    store.add_environment(ENVIRONMENT)
    claim = store.claim(
        db.PlannedJob.of_trial(trial_id(0), DIGEST, steps=RECIPE.steps).id,
        owner="benchmark",
        host="here",
        pid=1,
        environment_id=ENVIRONMENT.id,
        device="cpu",
        threads=1,
        lease_seconds=600.0,
    )
    assert isinstance(claim, db.Claim)
    names = ("train_bits_per_dim", "gradient_norm")
    rows = [db.Metric(names[k % 2], k // 2, 4.0 + k) for k in range(points)]
    began = time.perf_counter()
    for start in range(0, points, batch):
        store.add_metrics(claim, rows[start : start + batch])
    seconds = time.perf_counter() - began
    stored = sum(len(store.metrics(claim.job_id, name)) for name in names)
    if stored != points:
        raise RuntimeError(f"{points - stored} of {points} points were lost")
    return points / seconds


def maps(site: Site, repeats: int) -> dict[str, Any]:
    """A pretraining's maps, three splits of 32x32x3: stored with the end of its segment, read."""
    with site.fresh() as url:
        store = db.connect(url)
        times = _store_and_read(store, repeats)
        store.close()
    size = 4 * CHANNELS * SIDE * SIDE
    written, read = times["write_milliseconds"], times["read_milliseconds"]
    print(
        f"  maps, {SPLITS} of {size} bytes with standard errors: stored in "
        f"{median(written):.1f} ms, read in {median(read):.1f} ms (medians of {repeats})",
        flush=True,
    )
    return times


def _store_and_read(store: db.Store, repeats: int) -> dict[str, list[float]]:
    plan = lifecycle_plan(0)
    pretraining = db.PretrainingRow(
        id="p",
        recipe_id=RECIPE.id,
        flow=RECIPE.flow,
        dataset=DATA.name,
        variant=DATA.variant,
        seed=0,
    )
    jobs = tuple(
        db.PlannedJob.of_pretraining("p", DIGEST, budget=budget)
        for budget in range(100, 100 * (repeats + 1), 100)
    )
    store.register(replace(plan, pretrainings=(pretraining,), jobs=jobs))
    store.add_environment(ENVIRONMENT)
    writing, reading = [], []
    for job in jobs:
        claim = store.claim(
            job.id,
            owner="benchmark",
            host="here",
            pid=1,
            environment_id=ENVIRONMENT.id,
            device="cpu",
            threads=1,
            lease_seconds=600.0,
        )
        assert isinstance(claim, db.Claim)
        made = [_map(split, job.steps) for split in range(1, SPLITS + 1)]
        began = time.perf_counter()
        store.finish(claim, "done", last_step=job.steps, cost=COST, maps=made)
        written = time.perf_counter()
        read = store.maps(pretraining_id="p", data_digest=DIGEST, budget=job.steps)
        reading.append(1000 * (time.perf_counter() - written))
        writing.append(1000 * (written - began))
        if [m.digest for m in read] != [m.digest for m in made]:
            raise RuntimeError("a map came back changed")
    return {"write_milliseconds": writing, "read_milliseconds": reading}


STATISTICS = db.MapStatistics(
    mask_share=0.5,
    mask_share_by_chance=0.0625,
    standard_error=0.5,
    rank_gap=0.25,
    error_to_gap=2.0,
    unresolved=0.75,
    tied=0.0,
)


def _map(split: int, budget: int) -> db.ContributionMap:
    generator = np.random.default_rng([split, budget])
    values = generator.normal(size=(CHANNELS, SIDE, SIDE)).astype(np.float32)
    return db.ContributionMap(
        pretraining_id="p",
        data_digest=DIGEST,
        budget=budget,
        split=split,
        score="cumulative",
        values=values,
        standard_errors=np.abs(values),
        halves=np.stack([values, values]),
        statistics=STATISTICS,
        images=DATA.train,
        mean_log_det=float(values.sum(dtype=np.float64)),
    )
