"""How many device hours a plan would take, from how long the same work took before.

*Device hours* are the hours for which tasks hold their device: wall-clock time, times the share of
a GPU where they hold one. A GPU of which tasks had another share counts as another device.

**The same work** is a pretraining or a training with the same recipe on exactly the same data. Of a
recipe it does not matter how many steps it trains: the time of a step does not depend on that. Nor
do the seed and the factorization, which fill the tables of one and the same flow; only `none` is a
flow of its own. A pretraining has no part in the recipe's `training` section at all.

**How.** Each attempt by which such work was done says how long a step took, and how long all the
rest did: data, model, evaluation or maps. Of both, the median over attempts makes the expected
time, and their 10 % and 90 % quantiles the ends of the range, summed as if all of the work went as
fast or as slow as these: what slows down one task mostly slows down those beside it. A range from
few attempts is too narrow. Attempts that failed do not count, so hours lost to failures are not in
it. Nothing is guessed from another recipe, data set or device.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lcma.db import JobDuration, PlannedJob, Store
from lcma.harness.run.plan import Plan
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import Recipe

QUANTILES = (10.0, 50.0, 90.0)
"""Of the attempts: the lower end of the range, the expected value, the upper end, in percent."""

What = Literal["pretraining", "training"]


@dataclass(frozen=True)
class Hours:
    """Device hours with their range."""

    expected: float
    low: float
    high: float

    def __add__(self, other: "Hours") -> "Hours":
        return Hours(self.expected + other.expected, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class Part:
    """Jobs of one kind, so many steps in all, that are the same work. ``hours`` is None, and
    ``attempts`` 0, where none of it was ever done."""

    what: What
    flow: str
    dataset: str
    jobs: int
    steps: int
    attempts: int
    hours: Hours | None


@dataclass(frozen=True)
class Amount:
    """Work that is predicted together."""

    parts: tuple[Part, ...]

    @property
    def known(self) -> tuple[Part, ...]:
        """The parts with a history."""
        return tuple(part for part in self.parts if part.hours is not None)

    @property
    def unknown(self) -> tuple[Part, ...]:
        """Those without."""
        return tuple(part for part in self.parts if part.hours is None)

    @property
    def hours(self) -> Hours:
        """Of all parts with a history."""
        return sum((p.hours for p in self.parts if p.hours is not None), Hours(0.0, 0.0, 0.0))


@dataclass(frozen=True)
class Prediction:
    """What a plan takes on one device: what is left of it; all of it, with shared pretrainings;
    and all of it if each cell ran alone."""

    device: str
    left: Amount
    shared: Amount
    alone: Amount


@dataclass(frozen=True)
class Predictions:
    """One for each device with a history, by name; and what is left, whatever is known of it."""

    devices: tuple[Prediction, ...]
    left: Amount


@dataclass(frozen=True)
class _Same:
    """What work has in common that takes equally long: the data's digest is empty where they are
    not prepared."""

    what: What
    recipe: str
    data_digest: str


@dataclass(frozen=True)
class _Piece:
    """Steps of one job."""

    same: _Same
    flow: str
    dataset: str
    steps: int


@dataclass
class _Measured:
    """Device seconds of each step, and of all the rest, by attempt."""

    step: list[float]
    rest: list[float]


def predict_hours(plan: Plan, store: Store | None, gpus: float) -> Predictions:
    """The device hours of a plan where each task gets so many GPUs (0: on CPUs)."""
    kinds = _Kinds(plan)
    left, shared, alone = (list(of(plan, kinds)) for of in (_left, _shared, _alone))
    history = {} if store is None else _history(plan, kinds, store, gpus)
    found = (
        Prediction(device, *(_amount(pieces, measured) for pieces in (left, shared, alone)))
        for device, measured in sorted(history.items())
    )
    return Predictions(tuple(p for p in found if p.shared.known), _amount(left, {}))


class _Kinds:
    """What planned work has in common, worked out once for each recipe."""

    def __init__(self, plan: Plan) -> None:
        self.digests = plan.digests
        self._bodies: dict[int, tuple[str, str]] = {}

    def training(self, trial: Trial, steps: int) -> _Piece:
        of = _training(self._of(trial.recipe)[0], trial.factorization)
        return self._piece("training", of, trial, steps)

    def pretraining(self, pretraining: Pretraining, steps: int) -> _Piece:
        of = _pretraining(self._of(pretraining.recipe)[1], pretraining.nms)
        return self._piece("pretraining", of, pretraining, steps)

    @property
    def recipes(self) -> set[str]:
        """As `_identities` has them."""
        return {identity for both in self._bodies.values() for identity in both}

    def _of(self, recipe: Recipe) -> tuple[str, str]:
        found = self._bodies.get(id(recipe))  # cells share their recipe, and hashing it is dear
        if found is None:
            found = self._bodies[id(recipe)] = _identities(recipe.body)
        return found

    def _piece(self, what: What, recipe: str, subject: Trial | Pretraining, steps: int) -> _Piece:
        dataset = subject.set_name
        same = _Same(what, recipe, self.digests.get(dataset, ""))
        return _Piece(same, subject.recipe.model.flow, dataset, steps)


def _identities(body: str) -> tuple[str, str]:
    """What of a recipe matters to the time of a training's step, and of a pretraining's."""
    content = json.loads(body)
    training = {k: v for k, v in content.pop("training", {}).items() if k != "steps"}
    return canonical_json(content | {"training": training}), canonical_json(content)


def _training(recipe: str, factorization: str) -> str:
    return f"{'none' if factorization == 'none' else 'split'} {recipe}"


def _pretraining(recipe: str, nms: str) -> str:
    return f"{nms} {recipe}"


def _left(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """Work that a launch would do or wait for, from where it stands."""
    new = [c.cell.trial for c in plan.cells if c.status in ("new", "running")]
    for trial in (trial for trial in new if trial is not None):
        steps, digest = trial.recipe.training.steps, plan.digests.get(trial.set_name, "")
        job = plan.jobs.get(PlannedJob.of_trial(trial.id, digest, steps=steps).id)
        yield kinds.training(trial, steps - (job.step if job else 0))
    for planned in plan.pretrainings:
        pretraining, before = planned.pretraining, 0
        digest = plan.digests.get(pretraining.set_name, "")
        for budget in planned.budgets:
            segment = PlannedJob.of_pretraining(pretraining.id, digest, budget=budget)
            job = plan.jobs.get(segment.id)
            if budget not in planned.there and not planned.lost:
                yield kinds.pretraining(pretraining, budget - max(before, job.step if job else 0))
            before = budget


def _shared(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """All of it from the start."""
    for trial in plan.expansion.trials:
        yield kinds.training(trial, trial.recipe.training.steps)
    for planned in plan.pretrainings:
        for before, budget in zip((0, *planned.budgets), planned.budgets, strict=False):
            yield kinds.pretraining(planned.pretraining, budget - before)


def _alone(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """The same, and a pretraining of its own for each cell that uses a map."""
    for trial in (cell.trial for cell in plan.expansion.cells):
        if trial is None:
            continue
        yield kinds.training(trial, trial.recipe.training.steps)
        if trial.pretraining is not None and trial.budget is not None:
            yield kinds.pretraining(trial.pretraining, trial.budget)


def _history(
    plan: Plan, kinds: _Kinds, store: Store, gpus: float
) -> dict[str, dict[_Same, _Measured]]:
    """What was measured, by device and by what it is the same as."""
    flows = {trial.recipe.model.flow for trial in plan.expansion.trials}
    bodies = store.recipe_bodies_of_flows(flows)
    wanted = kinds.recipes
    of = {key: _identities(body) for key, body in bodies.items()}
    alike = {key for key, identities in of.items() if not wanted.isdisjoint(identities)}
    batches = {key: json.loads(bodies[key])["optimization"]["batch"] for key in alike}
    found: dict[str, dict[_Same, _Measured]] = defaultdict(dict)
    for pace in store.job_durations(alike, set(plan.digests.values())):
        if _share(pace) != round(gpus, 3):
            continue
        training, pretraining = of[pace.recipe_id]
        same = (
            _Same("training", _training(training, pace.factorization or ""), pace.data_digest)
            if pace.kind == "trial"
            else _Same("pretraining", _pretraining(pretraining, pace.nms or ""), pace.data_digest)
        )
        measured = found[_device(pace)].setdefault(same, _Measured([], []))
        held = _share(pace) or 1.0
        steps, trained = pace.last_step - pace.first_step, 0.0
        if pace.images_per_second and steps > 0:
            trained = min(pace.seconds, steps * batches[pace.recipe_id] / pace.images_per_second)
            measured.step.append(held * trained / steps)
        measured.rest.append(held * (pace.seconds - trained))
    return found


def _share(pace: JobDuration) -> float:
    """Of a GPU; 0 on a CPU."""
    if pace.gpu_seconds is None or not pace.seconds:
        return 0.0
    return round(pace.gpu_seconds / pace.seconds, 3)


def _device(pace: JobDuration) -> str:
    if pace.gpu_seconds is None:
        return f"CPU ({pace.device_name}, {pace.cpu_capability})"
    share = _share(pace)
    return pace.device_name if share == 1 else f"{share:g} of {pace.device_name}"


def _amount(pieces: Sequence[_Piece], history: Mapping[_Same, _Measured]) -> Amount:
    groups = defaultdict[tuple[_Same, str, str], list[_Piece]](list)
    for piece in pieces:
        groups[piece.same, piece.flow, piece.dataset].append(piece)
    return Amount(tuple(_part(group, history.get(same)) for (same, *_), group in groups.items()))


def _part(pieces: Sequence[_Piece], measured: _Measured | None) -> Part:
    """Of pieces that are all the same work."""
    first, steps = pieces[0], sum(piece.steps for piece in pieces)
    hours, attempts = None, 0
    if measured is not None and (measured.step or not steps):
        step = np.percentile(measured.step, QUANTILES) if steps else np.zeros(len(QUANTILES))
        rest = np.percentile(measured.rest, QUANTILES)
        low, expected, high = ((steps * step + len(pieces) * rest) / 3600).tolist()
        hours, attempts = Hours(expected, low, high), len(measured.rest)
    return Part(first.same.what, first.flow, first.dataset, len(pieces), steps, attempts, hours)
