"""A small sweep in a database, whose jobs take as many seconds as a test wants."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lcma import db
from lcma.harness.launch.plan import Plan, make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from lcma.sweeps import spec as specs
from tests.db.conftest import ENVIRONMENT, contribution_map, result
from tests.harness.conftest import SMALL, merged
from tests.stores import beat

SWEEP = merged(SMALL, {"matrix": {"budget": [10, 20]}, "seeds": 3})
"""Nine trainings of 20 steps in batches of 8, and three pretrainings of two segments."""

GPU = dataclasses.replace(ENVIRONMENT, device="NVIDIA H100")

Bits = Callable[[str, int | None, int], float]


class History:
    """The sweep in a database, and plans of further sweeps."""

    def __init__(self, place: Place, lcma: Callable[..., Any], folder: Path) -> None:
        self.place, self.store, self._lcma = place, db.connect(place.db), lcma
        self._file = folder / "small.yaml"
        for environment in (ENVIRONMENT, GPU):
            self.store.add_environment(environment)
        self.works = self.register(SWEEP)

    def write(self, sweep: dict[str, Any]) -> None:
        """Make a sweep the one that is planned."""
        self._file.write_text(yaml.safe_dump(sweep))

    def register(self, sweep: dict[str, Any]) -> list[Work]:
        self.write(sweep)
        plan = self.make_plan(sweep)
        register_plan(plan, self.place, self.store)
        return make_works(plan, self.place, owner="o", device="cpu")

    def make_plan(self, sweep: dict[str, Any]) -> Plan:
        return make_plan(specs.check(sweep, "test"), self.place, self.store)

    def add_results(self, sweep: dict[str, Any], bits: Bits) -> None:
        """Add the results of all trials of a sweep."""
        for work in self.register(sweep):
            if work.job.kind == "trial":
                trial = work.subject
                self.finish(work, bits=bits(trial.factorization, trial.budget, trial.seed))

    def trials(self, factorization: str) -> list[Work]:
        trials = [work for work in self.works if work.job.kind == "trial"]
        return [work for work in trials if work.subject.factorization == factorization]

    def segments(self, budget: int) -> list[Work]:
        return [work for work in self.works if work.job.budget == budget]

    def claim(self, work: Work, *, environment: db.Environment = ENVIRONMENT) -> db.Claim:
        claim = self.store.claim(
            work.job_id,
            owner="o",
            host="h",
            pid=1,
            environment_id=environment.id,
            device="cpu" if environment is ENVIRONMENT else "cuda",
            threads=1,
            lease_seconds=600.0,
        )
        assert isinstance(claim, db.Claim)
        return claim

    def finish(
        self,
        work: Work,
        *,
        step: float = 1.0,
        rest: float = 0.0,
        start: int = 0,
        share: float | None = None,
        bits: float = 3.5,
    ) -> None:
        """Let an attempt finish a job.

        Args:
            work: The job.
            step: Seconds of a step.
            rest: Seconds of everything else.
            start: First step of the attempt.
            share: Share of a GPU; None for a CPU.
            bits: bits/dim of the result.
        """
        job = work.job
        claim = self.claim(work, environment=ENVIRONMENT if share is None else GPU)
        beat(self.store, claim, step=start, lease_seconds=600.0, first_step=start)
        seconds = step * (job.steps - start) + rest
        cost = db.Cost(
            seconds=seconds,
            cpu_seconds=1.0,
            images_per_second=8 / step,
            gpu_seconds=None if share is None else share * seconds,
        )
        outcome: dict[str, Any]
        if job.trial_id is not None:
            outcome = {"result": result(job.trial_id, bits)}
            outcome["result"] = dataclasses.replace(outcome["result"], data_digest=job.data_digest)
        else:
            subject = {"pretraining_id": job.pretraining_id, "data_digest": job.data_digest}
            outcome = {"maps": [dataclasses.replace(contribution_map(1, job.steps), **subject)]}
        assert self.store.finish(claim, "done", last_step=job.steps, cost=cost, **outcome)

    def plan(self, *options: str) -> dict[str, Any]:
        """Return the output of `lcma plan --json`."""
        plan: dict[str, Any] = json.loads(self.text("--json", *options))
        return plan

    def text(self, *options: str) -> str:
        """Return the output of `lcma plan`."""
        code, out, err = self._lcma("plan", self._file, *options)
        assert code == 0, err
        return str(out)
