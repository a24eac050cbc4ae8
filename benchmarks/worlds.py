"""Plans and results to measure with: like those of a real sweep in their keys, sizes and cells."""

import hashlib

from lcma import db

DIGEST = hashlib.sha256(b"data").hexdigest()
SEEDS = 10
"""Trials that are averaged over: those of a cell."""

RECIPE = db.RecipeRow(
    id=hashlib.sha256(b"recipe").hexdigest(),
    flow="realnvp",
    profile="tiny",
    splits=3,
    size=16,
    steps=500,
    body="{}",
)

DATA = db.DataSet(
    digest=DIGEST,
    name="cifar10",
    variant="u8",
    height=32,
    width=32,
    channels=3,
    train=45000,
    holdout=5000,
    test=10000,
    manifest="{}",
)

ENVIRONMENT = db.Environment(
    code_version="0.1.0",
    dirty=None,
    python="3.11",
    torch="2.6",
    platform="Linux x86_64",
    device="a CPU",
    cpu_capability="AVX512",
    packages="{}",
)

COST = db.Cost(seconds=60.0, cpu_seconds=50.0, images_per_second=1000.0, peak_memory=2**30)


def trial_id(number: int) -> str:
    return hashlib.sha256(f"trial {number}".encode()).hexdigest()


def lifecycle_plan(trials: int) -> db.Registration:
    """So many trials in cells of ten seeds, none of them begun."""
    planned = tuple(
        db.TrialRow(
            id=trial_id(number),
            recipe_id=RECIPE.id,
            flow=RECIPE.flow,
            profile=RECIPE.profile,
            dataset=DATA.name,
            variant=DATA.variant,
            factorization=f"rule-{number // SEEDS}",
            seed=number % SEEDS,
        )
        for number in range(trials)
    )
    return db.Registration(
        sweeps=(db.Sweep(id="benchmark", name="benchmark", spec="{}"),),
        members=tuple(db.SweepMember("benchmark", t.id, t.factorization) for t in planned),
        recipes=(RECIPE,),
        data_sets=(DATA,),
        trials=planned,
        jobs=tuple(db.PlannedJob.of_trial(t.id, DIGEST, steps=RECIPE.steps) for t in planned),
    )


def result(trial: str, bits_per_dim: float = 3.5) -> db.Result:
    return db.Result(
        trial_id=trial,
        data_digest=DIGEST,
        step=RECIPE.steps,
        protocol="plain",
        protocol_body="{}",
        precision="float32",
        measures=(
            db.Measure("bits_per_dim", bits_per_dim, 0.01, DATA.test),
            db.Measure("holdout_bits_per_dim", 3.6, 0.02, DATA.holdout),
            db.Measure("log_det", -100.0, images=DATA.test),
            db.Measure("log_prior", -700.0, images=DATA.test),
            db.Measure("seconds_per_step", 0.01),
        ),
    )
