"""A database with something of everything: seeds, budgets, protocols, accidents, all states."""

import dataclasses
from typing import Any

import numpy as np

from lcma import db
from tests.db.conftest import (
    DATA,
    ENVIRONMENT,
    EVALUATOR,
    HALF,
    PRETRAINING,
    STATISTICS,
    WEIGHTS,
    World,
    contribution_map,
    index_table,
    recipe,
    result,
)
from tests.db.measuring import change, find_done_attempt

GPU = dataclasses.replace(ENVIRONMENT, device="some GPU", driver="550.54")
FACES = dataclasses.replace(DATA, digest="f" * 64, name="celeba64", variant="float")

TOTAL = '{"score":"total"}'
SHAPES: tuple[tuple[str, int | None, str | None], ...] = (
    ("channel", None, None),
    ("random", None, None),
    ("LLL", 100, None),
    ("LLL", 200, None),
    ("LLL", 200, TOTAL),
    ("HHH", 100, None),
    ("HHH", 100, TOTAL),
    ("HHH", 200, None),
)
"""Factorization, budget and options of the trials on DATA, each with seeds 0, 1 and 2."""

ASKED_NAMES = {"channel": ("channel", "conventional"), "LLL": ("low",), "HHH": ("HHH", "high")}

TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1\nKeyError: "a\\b"\n \n'


def _trial(recipe_id: str, shape: tuple[Any, ...], seed: int, data: db.DataSet) -> db.TrialRow:
    factorization, budget, options = shape
    return db.TrialRow(
        id=f"{data.name} {factorization} {budget} {options} {seed}",
        recipe_id=recipe_id,
        flow="realnvp",
        profile="paper" if data is FACES else "tiny",
        dataset=data.name,
        variant=data.variant,
        factorization=factorization,
        seed=seed,
        budget=budget,
        pretraining_id=None if budget is None else f"p{seed}",
        map_options=options,
    )


TRIALS = {
    (*shape, seed): _trial("with", shape, seed, DATA) for shape in SHAPES for seed in range(3)
}
FACE_TRIALS = [
    _trial("faces", (name, None, None), seed, FACES)
    for name, seed in (("channel", 0), ("channel", 1), ("none", 0), ("LLH", 0))
]
PRETRAININGS = [dataclasses.replace(PRETRAINING, id=f"p{seed}", seed=seed) for seed in range(3)]
SEGMENTS = {
    (seed, budget): db.PlannedJob.of_pretraining(f"p{seed}", DATA.digest, budget=budget)
    for seed in range(3)
    for budget in (100, 200)
}
JOBS = {
    trial.id: db.PlannedJob.of_trial(trial.id, data.digest, steps=500)
    for data, trials in ((DATA, TRIALS.values()), (FACES, FACE_TRIALS))
    for trial in trials
}
SWEEP = db.Sweep(id="s", name="demo", spec="{}")
PLAN = db.Registration(
    sweeps=(SWEEP, db.Sweep(id="s2", name="faces", spec="{}")),
    members=(
        *(
            db.SweepMember("s", trial.id, asked)
            for trial in TRIALS.values()
            for asked in ASKED_NAMES.get(trial.factorization, (trial.factorization,))
        ),
        *(db.SweepMember("s2", trial.id, trial.factorization) for trial in FACE_TRIALS),
    ),
    recipes=(
        recipe("with", 3),
        recipe("without", 0),
        dataclasses.replace(recipe("faces", 3), profile="paper"),
    ),
    data_sets=(DATA, FACES),
    pretrainings=tuple(PRETRAININGS),
    trials=(*TRIALS.values(), *FACE_TRIALS),
    jobs=(*SEGMENTS.values(), *JOBS.values()),
)


class Crowd:
    """Short ways to fill a store; every number is new, and no sum of them is exact."""

    def __init__(self, store: db.Store) -> None:
        self.store = store
        self.random = np.random.default_rng(7)
        self.now = 1000.0

    def number(self, low: float = 1.0, high: float = 9.0) -> float:
        return float(self.random.uniform(low, high))

    def cost(self, *, gpu: bool = False) -> db.Cost:
        return db.Cost(
            seconds=self.number(),
            cpu_seconds=self.number(),
            images_per_second=self.number(),
            peak_memory=int(self.random.integers(2**40)),
            data_wait=self.number(0.0, 1.0),
            gpu_seconds=self.number() if gpu else None,
        )

    def claim(self, job: db.PlannedJob, *, gpu: bool = False, until: float = 60.0) -> db.Claim:
        self.now += 1.0
        worker: dict[str, Any] = {"host": f"node{int(self.now) % 2}", "threads": 2}
        if gpu:
            worker |= {"environment_id": GPU.id, "device": "cuda:0", "devices": "GPU-1,GPU-2"}
        owner = f"launch{int(self.now) % 3}"
        claim = World(self.store).claim(job.id, owner=owner, lease=until, now=self.now, **worker)
        assert isinstance(claim, db.Claim)
        return claim

    def end(self, job: db.PlannedJob, outcome: db.Outcome, message: str = "", **more: Any) -> None:
        claim = self.claim(job, gpu=more.pop("gpu", False))
        cost = self.cost(gpu=more.pop("costs_gpu", False))
        self.now += 1.0
        assert self.store.finish(
            claim, outcome, message=message, cost=cost, now=self.now, **({"last_step": 9} | more)
        )

    def done(self, trial: db.TrialRow, **more: Any) -> None:
        job = JOBS[trial.id]
        bits, holdout_bits = self.number(3.0, 4.0), self.number(3.0, 4.0)
        of_trial = change(result(trial.id, bits), holdout_bits_per_dim=holdout_bits)
        tables = []
        if trial.budget is not None:
            kept = np.ones_like(HALF)
            for split in (1, 2):
                numbers = dataclasses.replace(STATISTICS, mask_share=self.number(0.0, 1.0))
                order = self.random.permutation(np.flatnonzero(kept))
                kept = np.zeros_like(HALF)
                kept.flat[order[: len(order) // 2]] = True
                tables.append(index_table(trial.id, split, kept, statistics=numbers))
        points = [db.Metric("train_bits_per_dim", step, 4.0) for step in range(10, 501, 10)]
        of_trial = dataclasses.replace(of_trial, data_digest=job.data_digest)
        products: dict[str, Any] = {"result": of_trial, "tables": tables, "metrics": points}
        self.end(job, "done", last_step=500, **products, **more)

    def evaluate(self, trial: db.TrialRow) -> None:
        self.now += 1.0
        plain = result(trial.id, self.number(3.0, 4.0))
        job_id = JOBS[trial.id].id
        assert self.store.add_evaluation(
            job_id,
            dataclasses.replace(plain, protocol="published"),
            attempt_id=find_done_attempt(self.store, job_id),
            by=dataclasses.replace(EVALUATOR, started=self.now - 1.0),
            cost=self.cost(),
            now=self.now,
        )


def fill(store: db.Store) -> None:
    """Do everything that can happen to the plan."""
    store.register(PLAN, now=900.0)
    for environment in (ENVIRONMENT, GPU):
        store.add_environment(environment, now=900.0)
    crowd = Crowd(store)
    for (seed, budget), job in SEGMENTS.items():
        # The longer budget goes on from the shorter one, except at one seed, which began anew.
        first_step = 100 if budget == 200 and seed != 1 else 0
        if (seed, budget) == (2, 200):
            crowd.end(job, "diverged", "the loss is nan", first_step=first_step, last_step=109)
            continue
        crowd.end(job, "preempted", first_step=first_step, last_step=first_step + 9)
        maps = [
            dataclasses.replace(
                contribution_map(split, budget, shift=seed + budget / 1000),
                pretraining_id=f"p{seed}",
            )
            for split in (1, 2)
        ]
        checkpoint = dataclasses.replace(WEIGHTS, kind="checkpoint", path="c")
        files = [] if budget == 200 else [checkpoint]
        ending = {"first_step": first_step + 9, "last_step": budget, "costs_gpu": seed == 0}
        crowd.end(job, "done", maps=maps, artifacts=files, **ending)
    accidents = {
        ("random", None, None, 0): ("code_error", TRACEBACK),
        ("random", None, None, 1): ("diverged", ""),
        ("HHH", 200, None, 1): ("oom", "no memory\n"),
    }
    for key, trial in TRIALS.items():
        job = JOBS[trial.id]
        if key in accidents:
            crowd.end(job, *accidents[key])
        elif key == ("random", None, None, 2):
            crowd.claim(job, until=4e9)  # its lease is not over
        elif key == ("HHH", 200, None, 0):
            crowd.claim(job)  # its lease will be over
        elif key == ("LLL", 200, TOTAL, 0):
            crowd.end(job, "cancelled", "stopped by hand")
        elif key[1] != 200 or key[3] != 2:
            if trial.factorization == "channel":
                crowd.claim(job)  # it is lost
                crowd.now += 100.0
                crowd.end(job, "preempted", costs_gpu=True)
            crowd.done(trial, gpu=key[3] == 0, costs_gpu=key[3] == 0)
    for key in (("channel", None, None, 0), ("channel", None, None, 1), ("LLL", 100, None, 1)):
        crowd.evaluate(TRIALS[key])
    for trial in FACE_TRIALS[:3]:
        crowd.done(trial)
    again = TRIALS["channel", None, None, 1]
    crowd.now += 1.0
    store.rerun([JOBS[again.id].id], by="ann", why="a fault is mended", now=crowd.now)
    crowd.done(again)
    crowd.evaluate(again)
    store.begin_launch(
        "launch0",
        "s",
        launched_by="ann",
        host="node0",
        arguments="lcma launch demo",
        code_version="0.1.0",
        now=crowd.now,
    )
