"""A plan of many cells, as `lcma plan` makes it, against a database of many trials."""

import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.many_trials import made
from benchmarks.places import Site
from lcma import db
from lcma.harness import data
from lcma.harness.place import Place
from lcma.harness.run.plan import Plan, make_plan, register_plan
from lcma.sweeps.expansion import Trial, expand
from lcma.sweeps.spec import Spec, check

BUDGETS = (100, 150, 200, 300, 500, 700)
CELLS_OF_SEED = 8 * len(BUDGETS) + 2
"""Eight words at every budget, and two factorizations without maps."""

DATASET = "photos16"


def plan(site: Site, folder: Path, trials: int, cells: int) -> dict[str, Any]:
    """Half of the cells are there already, among so many other trials."""
    place = Place(db=made(site, trials)[0], runs=folder / "runs", data=folder / "data")
    if not (place.data / DATASET).exists():
        data.prepare(DATASET, place.data)
    store = db.connect(place.db)
    half, whole = (_spec(seeds) for seeds in (cells // 2, cells))
    register_plan(make_plan(half, place, store), place, store)
    times, expanding = [], []
    for _ in range(5):
        began = time.perf_counter()
        expand(whole)
        expanding.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = make_plan(whole, place, store)
        times.append(time.perf_counter() - began)
    there = store.jobs(_jobs(found))
    store.close()
    print(
        f"  plan of {len(found.cells)} cells against {trials} trials: {median(times):.2f} s "
        f"({min(times):.2f} to {max(times):.2f}), of which to expand the spec "
        f"{median(expanding):.2f} s; {len(there)} of them are there",
        flush=True,
    )
    return {"cells": len(found.cells), "seconds": times, "expanding": expanding}


def _spec(cells: int) -> Spec:
    matrix = {
        "flow": "realnvp",
        "dataset": DATASET,
        "factorization": ["words", "random", "rows"],
        "budget": list(BUDGETS),
    }
    content = {"name": "many", "matrix": matrix, "seeds": max(1, cells // CELLS_OF_SEED)}
    return check(content, "many")


def _jobs(plan: Plan) -> list[str]:
    return [step.job.id for step in plan.steps if isinstance(step.subject, Trial)]
