"""A database filled through the store's own methods, with numbers known to the tests."""

import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from lcma import db
from lcma.harness.results.map_statistics import compute_map_statistics
from lcma.models import Flow, build
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe
from tests.db.conftest import COST, ENVIRONMENT
from tests.db.measuring import make_result
from tests.harness.show.maps import contribution

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
    """Short ways to put things into a database, by default at ``folder``/lcma.db."""

    model = RECIPE.model

    def claim(self, job: db.PlannedJob, *, host: str = "node1", now: float) -> db.Claim:
        """A claim of a job, which nobody else holds."""
        found = self.store.claim(
            job.id,
            owner="me",
            host=host,
            pid=17,
            environment_id=ENVIRONMENT.id,
            device="cpu",
            threads=1,
            lease_seconds=60.0,
            now=now,
        )
        assert isinstance(found, db.Claim)
        return found

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
        """A data set; its digest."""
        data_set = db.DataSet(
            digest=digest,
            name=name,
            variant="u8",
            height=16,
            width=16,
            channels=3,
            train=1000,
            holdout=100,
            test=100,
            manifest=manifest,
        )
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
        """Register a trial and its job."""
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

    def pretraining(
        self, seed: int, *, nms: str = "squeezed", recipe: Recipe = RECIPE, dataset: str = ""
    ) -> str:
        """Register a pretraining; its id: `p` and the seed, and what is not as usual."""
        found = db.PretrainingRow(
            id=pretraining_id(seed, nms, recipe, dataset),
            recipe_id=recipe.id,
            flow="realnvp",
            dataset=dataset or "photos16",
            variant="u8",
            seed=seed,
            nms=nms,
        )
        recipes = (self.recipe(recipe),)
        self.store.register(db.Registration(recipes=recipes, pretrainings=(found,)), now=1.0)
        return found.id

    def finish(
        self,
        job: db.PlannedJob,
        bits: float,
        *,
        protocol: str = "plain",
        artifacts: Sequence[db.Artifact] = (),
        clusters: int | None = 3,
        metrics: Sequence[db.Metric] = (),
        **beside: Any,
    ) -> None:
        """End a job with a result, and what is measured beside it."""
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
            **beside,
        )
        mine = self.claim(job, now=3.0)
        assert self.store.finish(
            *(mine, "done"),
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
        """End a job without a result."""
        mine = self.claim(job, now=3.0)
        more = {"message": message, "metrics": metrics, "now": 4.0}
        assert self.store.finish(mine, outcome, last_step=step, cost=COST, **more)

    def results(self, bits: Mapping[str, Mapping[int, float]], **more: Any) -> None:
        """Trials with these bits/dim."""
        for factorization, by_seed in bits.items():
            for seed, value in by_seed.items():
                self.finish(self.plan(factorization, seed, **more), value)

    def maps(
        self,
        seed: int = 0,
        budget: int = 100,
        splits: int = 2,
        *,
        scores: Sequence[str] = ("cumulative",),
        digest: str = "d" * 64,
        first_step: int = 0,
        change: Callable[[db.ContributionMap], db.ContributionMap] = lambda made: made,
        **pretraining: Any,
    ) -> list[db.ContributionMap]:
        """A finished segment of a pretraining with random maps; the maps."""
        name = self.pretraining(seed, **pretraining)
        job = db.PlannedJob.of_pretraining(name, digest, budget=budget)
        self.store.register(db.Registration(jobs=(job,)), now=1.0)
        made = [contribution_map(k + 1, seed, budget, s) for s in scores for k in range(splits)]
        nms = pretraining.get("nms", "squeezed")
        found = [
            measured(change(dataclasses.replace(m, pretraining_id=name, data_digest=digest)), nms)
            for m in made
        ]
        mine = self.claim(job, now=3.0)
        steps = {"first_step": first_step, "last_step": budget}
        assert self.store.finish(mine, "done", **steps, cost=COST, maps=found, now=4.0)
        return found

    def flow(self, factorization: str, seed: int) -> Flow:
        """A flow, the same for the same arguments, whose words come from the maps of the seed."""
        maps = [contribution_map(k + 1, seed).values for k in range(RECIPE.model.splits)]
        flow = build(RECIPE.model, factorization, seed=seed, maps=maps)
        images = np.random.default_rng(seed).integers(0, 256, size=(8, 3, 16, 16))
        flow.initialize(torch.from_numpy(images), torch.Generator().manual_seed(seed))
        return flow.eval()

    def weights(self, factorization: str, seed: int, **more: Any) -> Path:
        """A finished trial with weights under `runs`; their file."""
        flow = self.flow(factorization, seed)
        job = self.plan(factorization, seed, **more)
        content = save(flow.state_dict())
        path = Path(f"{job.trial_id}") / "weights.safetensors"
        (self.runs / path).parent.mkdir(parents=True)
        (self.runs / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        artifact = db.Artifact(
            kind="weights", path=str(path), bytes=len(content), digest=digest, place="here:/runs"
        )
        self.finish(job, 4.0, artifacts=[artifact])
        return self.runs / path


def pretraining_id(seed: int, nms: str, recipe: Recipe, dataset: str) -> str:
    """The id that `Filler.pretraining` gives."""
    more = [nms] if nms != "squeezed" else []
    more += (
        [recipe.id[:6]] if recipe.pretraining_identity() != RECIPE.pretraining_identity() else []
    )
    more += [dataset] if dataset else []
    return "-".join([f"p{seed}", *more])


def contribution_map(
    split: int, seed: int = 0, budget: int = 100, score: str = "cumulative"
) -> db.ContributionMap:
    """A random map of a 3 x 16 x 16 image, the same at all budgets."""
    more = [len(score)] if score != "cumulative" else []
    values = np.random.default_rng([split, seed, *more]).normal(size=(3, 16, 16))
    made = contribution(values, split, 0.125)
    return dataclasses.replace(made, budget=budget, score=score, images=1000, clusters=5)


def measured(item: db.ContributionMap, nms: str = "squeezed") -> db.ContributionMap:
    """The map with its statistics, and halves that are as far apart as its errors say."""
    noise = np.random.default_rng([item.split, 99]).normal(size=item.values.shape)
    with np.errstate(over="ignore"):  # of endless errors, halves that are not finite
        noise = (noise * np.nan_to_num(item.standard_errors)).astype(np.float32)
    return dataclasses.replace(
        item,
        halves=np.stack([item.values - noise, item.values + noise]),
        statistics=compute_map_statistics(item.values, item.standard_errors, item.split, nms),
    )


def _copied(template: Path, folder: Path) -> Filler:
    shutil.copy(template, folder / "lcma.db")  # migrating an empty file takes longer
    return Filler(folder)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with photos16 in it."""
    found = Filler(tmp_path_factory.mktemp("empty"))
    found.data()
    found.store.close()
    return found.folder / "lcma.db"


@pytest.fixture(scope="session")
def filled_database(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the results of `BITS`."""
    found = _copied(empty_database, tmp_path_factory.mktemp("filled"))
    found.results(BITS)
    found.store.close()
    return found.folder / "lcma.db"


@pytest.fixture
def filler(in_tmp: Path, empty_database: Path) -> Filler:
    """A database in the current folder, with photos16 in it."""
    return _copied(empty_database, in_tmp)


@pytest.fixture
def filled(in_tmp: Path, filled_database: Path) -> Filler:
    """A database in the current folder with the results of `BITS`."""
    return _copied(filled_database, in_tmp)


@pytest.fixture(params=["sqlite", "postgresql"])
def any_filler(request: pytest.FixtureRequest, in_tmp: Path) -> Filler:
    """A database on each engine, with photos16 in it."""
    url = (
        None if request.param == "sqlite" else str(request.getfixturevalue("current_postgres_url"))
    )
    found = Filler(in_tmp, url)
    found.data()
    return found
