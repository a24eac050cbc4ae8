"""A database that has been worked with: results of several flows, whose digits are pinned."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcma import db
from tests.db.measuring import left_by, make_result

SHAPE = (1, 8, 8)
START = 1_767_225_600.25
"""When the work began, Unix seconds UTC."""


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def body(**content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def recipe(flow: str, splits: int, steps: int = 500) -> db.RecipeRow:
    text = body(flow=flow, splits=splits, training={"steps": steps, "rate": 1e-3})
    return db.RecipeRow(
        id=digest(text), flow=flow, profile="tiny", splits=splits, size=8, steps=steps, body=text
    )


def data_set(name: str, variant: str) -> db.DataSet:
    return db.DataSet(
        digest=digest(name + variant),
        name=name,
        variant=variant,
        height=8,
        width=8,
        channels=1,
        train=900,
        holdout=90,
        test=100,
        manifest=body(source="Fotos aus Köln", skipped=["it's broken.png"]),
    )


PHOTOS, FLOATS = data_set("photos8", "u8"), data_set("celeba8", "f32")
REALNVP, RESFLOW = recipe("realnvp", 2), recipe("resflow", 2)
WITHOUT = recipe("realnvp", 0, 1000)

ENVIRONMENTS = tuple(
    db.Environment(
        code_version="0.1.0+4988302",
        dirty=dirty,
        python="3.11.9",
        torch="2.6.0+cu124",
        platform="Linux x86_64",
        device=device,
        cpu_capability="AVX512",
        packages=body(numpy="2.0.1", ray="2.50.0"),
        driver=driver,
        flags=body(cudnn_tf32=False, mkldnn=True),
    )
    for device, dirty, driver in (
        ("Xeon® Gold 6338", None, None),
        ("NVIDIA A100-SXM4-80GB", digest("dirty"), "550.54.15"),
    )
)


PRETRAINING = db.PretrainingRow(
    id=digest("pretraining 0 squeezed"),
    recipe_id=WITHOUT.id,
    flow="realnvp",
    dataset="photos8",
    variant="u8",
    seed=0,
)


def trial(
    of: db.RecipeRow,
    factorization: str,
    seed: int,
    budget: int | None = None,
    *,
    data: db.DataSet = PHOTOS,
    map_options: str | None = None,
) -> db.TrialRow:
    name = f"{of.id} {factorization} {seed} {budget} {data.name} {map_options}"
    return db.TrialRow(
        id=digest(name),
        recipe_id=of.id,
        flow=of.flow,
        profile=of.profile,
        dataset=data.name,
        variant=data.variant,
        factorization=factorization,
        seed=seed,
        budget=budget,
        pretraining_id=None if budget is None else PRETRAINING.id,
        map_options=map_options,
    )


CHANNEL = tuple(trial(REALNVP, "channel", seed) for seed in (0, 1))
LOW = tuple(trial(REALNVP, "LL", 0, budget) for budget in (100, 200))
HIGH = trial(REALNVP, "HH", 0, 100)
SERIES = trial(RESFLOW, "channel", 0, data=FLOATS)
RANDOM = tuple(trial(REALNVP, "random", seed) for seed in range(4))
DIVERGED = trial(WITHOUT, "none", 0)
TRIALS = (*CHANNEL, *LOW, HIGH, *RANDOM, DIVERGED, SERIES)
SEGMENTS = tuple(
    db.PlannedJob.of_pretraining(PRETRAINING.id, PHOTOS.digest, budget=budget)
    for budget in (100, 200)
)


def job_of(one: db.TrialRow) -> db.PlannedJob:
    data = FLOATS if one.dataset == FLOATS.name else PHOTOS
    return db.PlannedJob.of_trial(one.id, data.digest, steps=500)


def values(seed: int) -> NDArray[np.float32]:
    """Numbers that use all their bits; no generator, whose stream could change."""
    steps = np.arange(1, 65, dtype=np.float64).reshape(SHAPE)
    return np.sin(steps * (seed + 0.7) ** 2).astype(np.float32)


def half(parent: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """A half of what is there."""
    order = np.argsort(np.where(parent, values(seed), np.inf), axis=None, kind="stable")
    kept = np.zeros(parent.size, dtype=bool)
    kept[order[: int(parent.sum()) // 2]] = True
    return kept.reshape(parent.shape)


COST = db.Cost(
    seconds=61.7,
    cpu_seconds=67.87,
    gpu_seconds=61.7 / 3,
    images_per_second=1e5 / 61.7,
    peak_memory=2**33 + 1,
    data_wait=0.0625,
)


def result(
    one: db.TrialRow, bits_per_dim: float, protocol: str = "plain", **more: Any
) -> db.Result:
    fields: dict[str, Any] = {
        "trial_id": one.id,
        "data_digest": job_of(one).data_digest,
        "protocol": protocol,
        "protocol_body": body(name=protocol, draws=1),
        "precision": "float32",
        "step": 500,
        "bits_per_dim": bits_per_dim,
        "standard_error": 0.1 / 3,
        "images": 100,
        "holdout_bits_per_dim": bits_per_dim + 1 / 7,
        "holdout_standard_error": None,
        "log_det": -100.0 / 3,
        "log_prior": -1e-17,
        "clusters": None,
        "train_bits_per_dim": bits_per_dim - 1e-9,
    }
    return make_result(**(fields | more))


def bar(of: db.DataSet, name: str, bits_per_dim: float | None, detail: str) -> db.Bar:
    return db.Bar(
        data_digest=of.digest,
        name=name,
        bits_per_dim=bits_per_dim,
        standard_error=None if bits_per_dim is None else 0.01,
        images=of.test,
        detail=detail,
    )


class Work:
    """Fills an empty store."""

    def __init__(self, store: db.Store) -> None:
        self.store, self.now = store, START

    def do(self) -> None:
        """Do all of it."""
        self.register()
        self.pretrain()
        self.train()
        self.fail()
        self.evaluate()

    def time(self, seconds: float) -> float:
        self.now += seconds
        return self.now

    def register(self) -> None:
        bars = (
            bar(PHOTOS, "gaussian", 6.5 + 1 / 3, "one mean and one deviation"),
            bar(FLOATS, "png", None, "left out: it's float32, no bytes"),
        )
        sweeps = tuple(
            db.Sweep(id=digest(name), name=name, spec=body(name=name, seeds=2))
            for name in ("words", "Größe")
        )
        members = (
            db.SweepMember(sweeps[0].id, CHANNEL[0].id, "conventional"),
            db.SweepMember(sweeps[0].id, CHANNEL[0].id, "channel"),
            *(db.SweepMember(sweeps[0].id, one.id, "low") for one in LOW),
            db.SweepMember(sweeps[1].id, SERIES.id, "conventional"),
        )
        plan = db.Registration(
            sweeps=sweeps,
            members=members,
            recipes=(REALNVP, RESFLOW, WITHOUT),
            data_sets=(PHOTOS, FLOATS),
            pretrainings=(PRETRAINING,),
            trials=TRIALS,
            jobs=(*SEGMENTS, *map(job_of, TRIALS)),
            bars=bars,
        )
        self.store.register(plan, now=self.time(0.0))
        for environment in ENVIRONMENTS:
            self.store.add_environment(environment, now=self.time(1.0))

    def win(self, job: db.PlannedJob, *, lease: float = 60.0) -> db.Claim:
        claim = self.store.claim(
            job.id,
            owner="launch-7f3a",
            host="knoten-ä",
            pid=4242,
            environment_id=ENVIRONMENTS[job.kind == "trial"].id,
            device="cuda:0",
            devices="0",
            threads=1,
            lease_seconds=lease,
            now=self.time(10.0),
        )
        assert isinstance(claim, db.Claim)
        return claim

    def finish(self, claim: db.Claim, outcome: db.Outcome, *, last_step: int, **made: Any) -> None:
        stored = self.store.finish(
            claim,
            outcome,
            last_step=last_step,
            cost=COST,
            now=self.time(COST.seconds),
            **made,
        )
        assert stored

    def pretrain(self) -> None:
        for job in SEGMENTS:
            self.finish(self.win(job), "done", last_step=job.steps, maps=self.maps(job))

    def train(self) -> None:
        """What is done, one of them at the sixth attempt."""
        self.now = START + 232.10000014305115
        for one, bits in ((CHANNEL[0], 3.5), (CHANNEL[1], 3.6), (LOW[0], 3.4), (LOW[1], 3.3)):
            self.complete(one, bits + 1 / 3)
        bound = {
            "bound_draws": 10,
            "bound_images": 100,
            "bound_bits_per_dim": 5.0 + 1 / 3,
            "bound_gain": 0.1,
            "series_terms": 20,
            "series_bias": -1e-7,
            "series_bias_standard_error": 1e-8,
        }
        self.complete(SERIES, 6.0, clusters=7, **bound)
        self.now += 15.0
        job = job_of(HIGH)
        for outcome in ("preempted", "node_lost", "cancelled", "pruned"):
            self.finish(self.win(job), outcome, last_step=7, message=f"{outcome}: it's »so«")
        self.win(job, lease=5.0)  # the next one takes it over
        self.complete(HIGH, 4.0)

    def complete(self, one: db.TrialRow, bits_per_dim: float, **more: Any) -> None:
        self.finish(
            self.win(job_of(one)),
            "done",
            last_step=500,
            result=result(one, bits_per_dim, **more),
            tables=self.tables(one),
        )

    def fail(self) -> None:
        outcomes: Sequence[db.Outcome] = ("oom", "timeout", "code_error", "oom", "diverged")
        for one, outcome in zip((*RANDOM, DIVERGED), outcomes, strict=True):
            self.finish(self.win(job_of(one)), outcome, last_step=2, message="it's »so«")

    def evaluate(self) -> None:
        """Two of the trials by another protocol."""
        self.now = START + 1406.3000009059906
        for one, bits in ((LOW[0], 3.25), (SERIES, 5.75)):
            by = db.Evaluator(
                owner="evaluator",
                host="knoten-ä",
                environment_id=ENVIRONMENTS[0].id,
                device="cpu",
                threads=2,
                started=self.time(1.0),
            )
            found = result(one, bits, "published", train_bits_per_dim=None)
            assert self.store.add_evaluation(
                job_of(one).id,
                found,
                attempt_id=left_by(self.store, job_of(one).id),
                by=by,
                cost=db.Cost(seconds=7.5, cpu_seconds=8.25),
                now=self.time(7.5),
            )

    def maps(self, job: db.PlannedJob) -> list[db.ContributionMap]:
        assert job.budget is not None
        return [
            db.ContributionMap(
                pretraining_id=PRETRAINING.id,
                data_digest=job.data_digest,
                budget=job.budget,
                split=split,
                score="cumulative",
                values=values(split + job.budget),
                standard_errors=np.abs(values(split)) / np.float32(10),
                images=900,
                mean_log_det=float(values(split + job.budget).sum(dtype=np.float64)) + 1e-7,
                clusters=None if split == 1 else 12,
                **self.instruments(split + job.budget),
            )
            for split in (1, 2)
        ]

    def instruments(self, seed: int) -> dict[str, Any]:
        statistics = db.MapStatistics(
            mask_share=0.97,
            mask_share_by_chance=1 / 16,
            standard_error=1 / 30,
            rank_gap=0.1 + 0.2,
            error_to_gap=1 / 9,
            unresolved=None,
            tied=0.0,
        )
        return {"halves": np.stack([values(seed + 1), values(seed + 2)]), "statistics": statistics}

    def tables(self, one: db.TrialRow) -> list[db.IndexTable]:
        by_map = one.budget is not None
        statistics = db.TableStatistics(
            iou_even=1 / 3,
            iou_odd=0.35,
            purity=1 / 6,
            channel_purity=0.25,
            mask_share=0.9 if by_map else None,
            mask_share_by_chance=1 / 16 if by_map else None,
            tied=0.0 if by_map else None,
            agreement=0.75 if by_map else None,
        )
        made, kept = [], np.ones(SHAPE, dtype=bool)
        for split in (1, 2):
            there, kept = kept, half(kept, split + one.seed + (one.budget or 0))
            order = [*np.flatnonzero(there & ~kept), *np.flatnonzero(kept)]
            made.append(
                db.IndexTable(
                    trial_id=one.id,
                    data_digest=job_of(one).data_digest,
                    split=split,
                    kept=kept,
                    digest=hashlib.sha256(np.array(order, dtype="<i8").tobytes()).hexdigest(),
                    statistics=statistics,
                )
            )
        return made
