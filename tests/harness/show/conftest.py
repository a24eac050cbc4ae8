"""A database filled through the store's own methods, with numbers known to the tests."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from safetensors.torch import save

from lcma import db
from lcma.harness.results.map_statistics import compute_map_statistics
from lcma.models import Flow, build
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe
from tests.db.conftest import COST, DATA, ENVIRONMENT, World
from tests.db.measuring import make_result
from tests.harness.cli.conftest import lcma as lcma

RECIPE: Recipe = catalog.recipe(
    "realnvp",
    "photos16",
    "tiny",
    {"model": {"splits": 2, "architecture": {"width": 2, "blocks": 0}}},
)
STEPS = RECIPE.training.steps
BITS = {
    "checkerboard-even": {0: 4.10, 1: 4.30, 2: 4.25, 3: 4.00},
    "channel": {0: 4.00, 1: 4.32, 2: 4.05, 3: 3.97},
    "random": {0: 4.50, 1: 4.60},
}
"""Bits/dim by factorization and seed: the paired difference of `channel` is known below."""


class Filler:
    """A database, by default ``folder``/lcma.db, and short ways to put rows into it."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.runs = folder / "runs"
        self.url = url or f"sqlite:///{folder / 'lcma.db'}"
        self.store = db.connect(self.url)
        self.store.add_environment(ENVIRONMENT, now=1.0)
        self.store.register(db.Registration(recipes=(self.recipe(),)), now=1.0)

    @staticmethod
    def recipe(recipe: Recipe = RECIPE) -> db.RecipeRow:
        return db.RecipeRow(
            id=recipe.id,
            flow="realnvp",
            profile="tiny",
            splits=recipe.model.splits,
            size=recipe.model.size,
            steps=recipe.training.steps,
            body=recipe.body,
        )

    def data(self, digest: str = "d" * 64, name: str = "photos16", manifest: str = "{}") -> str:
        """Register a data set; return its digest."""
        data_set = replace(DATA, digest=digest, name=name, manifest=manifest)
        self.store.register(db.Registration(data_sets=(data_set,)), now=1.0)
        return digest

    def plan(
        self,
        factorization: str,
        seed: int,
        *,
        digest: str = "d" * 64,
        budget: int | None = None,
        dataset: str = "photos16",
        sweep: str | None = None,
        recipe: Recipe = RECIPE,
        map_options: str | None = None,
    ) -> db.PlannedJob:
        """Register a trial; return its job."""
        unusual = [] if recipe == RECIPE and map_options is None else [recipe.id, map_options]
        identity = " ".join(map(str, [dataset, factorization, seed, budget, *unusual]))
        trial = db.TrialRow(
            id=hashlib.sha256(identity.encode()).hexdigest()[:20],
            recipe_id=recipe.id,
            flow="realnvp",
            profile="tiny",
            dataset=dataset,
            variant="u8",
            factorization=factorization,
            seed=seed,
            budget=budget,
            pretraining_id=None if budget is None else self.pretraining(seed),
            map_options=map_options,
        )
        job = db.PlannedJob.of_trial(trial.id, digest, steps=STEPS)
        self.store.register(
            db.Registration(
                recipes=(self.recipe(recipe),),
                trials=(trial,),
                jobs=(job,),
                sweeps=() if sweep is None else (db.Sweep(id=sweep, name="demo", spec="{}"),),
                members=() if sweep is None else (db.SweepMember(sweep, trial.id, factorization),),
            ),
            now=2.0,
        )
        return job

    def pretraining(self, seed: int, *, nms: str = "squeezed", recipe: Recipe = RECIPE) -> str:
        """Register a pretraining; return its id: `p`, the seed, and each unusual argument."""
        unusual = [nms] if nms != "squeezed" else []
        if recipe.pretraining_identity() != RECIPE.pretraining_identity():
            unusual.append(recipe.id[:6])
        row = db.PretrainingRow(
            id="-".join([f"p{seed}", *unusual]),
            recipe_id=recipe.id,
            flow="realnvp",
            dataset="photos16",
            variant="u8",
            seed=seed,
            nms=nms,
        )
        recipes = (self.recipe(recipe),)
        self.store.register(db.Registration(recipes=recipes, pretrainings=(row,)), now=1.0)
        return row.id

    def claim(self, job: db.PlannedJob, *, host: str = "node1", now: float = 3.0) -> db.Claim:
        """Claim a job that nobody else holds."""
        claim = World(self.store).claim(job.id, host=host, now=now)
        assert isinstance(claim, db.Claim)
        return claim

    def finish(
        self,
        job: db.PlannedJob,
        bits: float,
        *,
        protocol: str = "plain",
        artifacts: Sequence[db.Artifact] = (),
        clusters: int | None = 3,
        metrics: Sequence[db.Metric] = (),
        **measures: Any,
    ) -> None:
        """End a job with a result that has these measures too."""
        assert job.trial_id is not None
        result = make_result(
            trial_id=job.trial_id,
            data_digest=job.data_digest,
            protocol=protocol,
            protocol_body="{}",
            precision="float32",
            step=STEPS,
            bits_per_dim=bits,
            standard_error=0.01,
            images=100,
            clusters=clusters,
            holdout_bits_per_dim=bits,
            holdout_standard_error=0.02,
            log_det=-100.0,
            log_prior=-700.0,
            **measures,
        )
        assert self.store.finish(
            self.claim(job),
            "done",
            last_step=STEPS,
            cost=COST,
            result=result,
            artifacts=artifacts,
            metrics=metrics,
            now=4.0,
        )

    def fail(
        self,
        job: db.PlannedJob,
        outcome: Any,
        message: str,
        *,
        step: int = 7,
        metrics: Sequence[db.Metric] = (),
    ) -> None:
        report = {"message": message, "metrics": metrics, "now": 4.0}
        assert self.store.finish(self.claim(job), outcome, last_step=step, cost=COST, **report)

    def results(self, bits: Mapping[str, Mapping[int, float]], **options: Any) -> None:
        """Plan and finish trials with these bits/dim."""
        for factorization, by_seed in bits.items():
            for seed, value in by_seed.items():
                self.finish(self.plan(factorization, seed, **options), value)

    def maps(
        self,
        seed: int = 0,
        budget: int = 100,
        *,
        scores: Sequence[str] = ("cumulative",),
        digest: str = "d" * 64,
        first_step: int = 0,
        change: Callable[[db.ContributionMap], db.ContributionMap] = lambda item: item,
        **pretraining: Any,
    ) -> list[db.ContributionMap]:
        """Finish a segment of a pretraining with random maps, and return them."""
        name = self.pretraining(seed, **pretraining)
        job = db.PlannedJob.of_pretraining(name, digest, budget=budget)
        self.store.register(db.Registration(jobs=(job,)), now=1.0)
        maps = []
        for score in scores:
            for split in (1, 2):
                item = contribution_map(split, seed, budget, score)
                item = change(replace(item, pretraining_id=name, data_digest=digest))
                maps.append(add_statistics(item, pretraining.get("nms", "squeezed")))
        assert self.store.finish(
            self.claim(job),
            "done",
            first_step=first_step,
            last_step=budget,
            cost=COST,
            maps=maps,
            now=4.0,
        )
        return maps

    def flow(self, factorization: str, seed: int) -> Flow:
        """Make a flow that depends on the arguments only; words come from the seed's maps."""
        maps = [contribution_map(split, seed).values for split in (1, 2)]
        flow = build(RECIPE.model, factorization, seed=seed, maps=maps)
        images = np.random.default_rng(seed).integers(0, 256, size=(8, 3, 16, 16))
        flow.initialize(torch.from_numpy(images), torch.Generator().manual_seed(seed))
        return flow.eval()

    def weights(self, factorization: str, seed: int, **options: Any) -> Path:
        """Finish a trial with weights under `runs`; return their file."""
        job = self.plan(factorization, seed, **options)
        content = save(self.flow(factorization, seed).state_dict())
        path = f"{job.trial_id}/weights.safetensors"
        (self.runs / path).parent.mkdir(parents=True)
        (self.runs / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        artifact = db.Artifact(
            kind="weights", path=path, bytes=len(content), digest=digest, place="here:/runs"
        )
        self.finish(job, 4.0, artifacts=[artifact])
        return self.runs / path


def contribution(
    values: ArrayLike, split: int = 1, error: float = 0.1, **columns: Any
) -> db.ContributionMap:
    """A map with these values and one standard error."""
    values = np.asarray(values, dtype=np.float32)
    errors = np.full_like(values, error)
    item = db.ContributionMap(
        pretraining_id="p",
        data_digest="d",
        budget=100,
        split=split,
        score="cumulative",
        values=values,
        standard_errors=errors,
        halves=np.stack([values, values]),
        statistics=compute_map_statistics(values, errors, split, "squeezed"),
        images=10,
        mean_log_det=float(values.sum()),
    )
    return replace(item, **columns)


def contribution_map(
    split: int, seed: int = 0, budget: int = 100, score: str = "cumulative"
) -> db.ContributionMap:
    """A random map of a 3 x 16 x 16 image, the same at all budgets."""
    entropy = [split, seed, *([len(score)] if score != "cumulative" else [])]
    values = np.random.default_rng(entropy).normal(size=(3, 16, 16))
    columns = {"budget": budget, "score": score, "images": 1000, "clusters": 5}
    return contribution(values, split, 0.125, **columns)


def add_statistics(item: db.ContributionMap, nms: str = "squeezed") -> db.ContributionMap:
    """The map with its statistics, and halves that are as far apart as its errors say."""
    noise = np.random.default_rng([item.split, 99]).normal(size=item.values.shape)
    noise = (noise * item.standard_errors).astype(np.float32)
    return replace(
        item,
        halves=np.stack([item.values - noise, item.values + noise]),
        statistics=compute_map_statistics(item.values, item.standard_errors, item.split, nms),
    )


def _copy(template: Path, folder: Path) -> Filler:
    shutil.copy(template, folder / "lcma.db")  # migrating an empty file takes longer
    return Filler(folder)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with photos16 in it."""
    filler = Filler(tmp_path_factory.mktemp("empty"))
    filler.data()
    filler.store.close()
    return filler.folder / "lcma.db"


@pytest.fixture(scope="session")
def filled_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the results of `BITS`."""
    filler = _copy(empty_database, tmp_path_factory.mktemp("filled"))
    filler.results(BITS)
    filler.store.close()
    return filler.folder / "lcma.db"


@pytest.fixture
def filler(in_tmp: Path, empty_database: Path) -> Filler:
    """A database in the current folder, with photos16 in it."""
    return _copy(empty_database, in_tmp)


@pytest.fixture
def filled(in_tmp: Path, filled_database: Path) -> Filler:
    """A database in the current folder with the results of `BITS`."""
    return _copy(filled_database, in_tmp)
