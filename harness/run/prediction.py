"""Prediction of the device hours of a plan, from how long the same work took before.

*Device hours* are the hours for which tasks hold their device: wall-clock time, times the share of
a GPU where they hold one. A GPU of which tasks had another share counts as another device.

**The same work** is a pretraining or a training with the same recipe on exactly the same data,
whatever its number of steps, its seed and its factorization: none of these changes the time of a
step. Only `none` is another flow. A recipe's `training` section does not concern a pretraining.

**Method.** Each attempt that ended such work well gives the time of a step, and the time of all the
rest: data, model, evaluation or maps. Of both, the median over attempts gives the expected time,
and the 10 % and 90 % quantiles the ends of the range. They are summed as if all of the work went as
fast or as slow as these, since what slows down one task mostly slows down those beside it. A range
from few attempts is too narrow. Attempts that failed do not count, so hours lost to failures are
not included, nor is measuring the data, which takes seconds. Nothing is guessed from another
recipe, data set or device.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from lcma.db import JobDuration, PlannedJob, Store
from lcma.harness.results.power import GroupKey, Power, SeedHours, compute_power
from lcma.harness.run.plan import Plan, PlannedPretraining
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.recipe import Recipe

QUANTILES = (10.0, 50.0, 90.0)
"""Quantiles over attempts, in percent: lower end of the range, expected value, upper end."""

What = Literal["pretraining", "training"]


@dataclass(frozen=True)
class Hours:
    """An amount of device hours, expected and as a range."""

    expected: float
    low: float
    high: float

    def __add__(self, other: "Hours") -> "Hours":
        return Hours(self.expected + other.expected, self.low + other.low, self.high + other.high)


@dataclass(frozen=True)
class PredictedPart:
    """The jobs of a plan that are the same work, with their steps in all.

    ``hours`` is None, and ``attempts`` 0, if such work was never done, or nobody can know that
    since the data set is not ``prepared``.
    """

    what: What
    flow: str
    dataset: str
    jobs: int
    steps: int
    attempts: int
    hours: Hours | None
    prepared: bool = True


@dataclass(frozen=True)
class Amount:
    """An amount of work that is predicted together."""

    parts: tuple[PredictedPart, ...]

    @property
    def known(self) -> tuple[PredictedPart, ...]:
        """The parts with a history."""
        return tuple(part for part in self.parts if part.hours is not None)

    @property
    def unknown(self) -> tuple[PredictedPart, ...]:
        """The parts without a history."""
        return tuple(part for part in self.parts if part.hours is None)

    @property
    def hours(self) -> Hours:
        """The sum over all parts with a history."""
        return sum((p.hours for p in self.parts if p.hours is not None), Hours(0.0, 0.0, 0.0))


@dataclass(frozen=True)
class Prediction:
    """The predicted hours of a plan on one device: of what is left, of all of it with shared
    pretrainings, and of all of it if each cell ran alone."""

    device: str
    left: Amount
    shared: Amount
    alone: Amount


@dataclass(frozen=True)
class Predictions:
    """The predictions for each device with a history, by name, the work left, without hours, and
    the share of a device that a task holds.

    ``of_a_seed`` has, by recipe id and data set, the expected hours of all that one seed takes from
    the start, on each device where all of it has a history.
    """

    devices: tuple[Prediction, ...]
    left: Amount
    share: float = 1.0
    of_a_seed: SeedHours = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class _Same:
    """The key of work that takes equally long; ``data_digest`` is '' for data not yet prepared."""

    what: What
    recipe: str
    data_digest: str


@dataclass(frozen=True)
class _Piece:
    """The steps of one job."""

    same: _Same
    flow: str
    dataset: str
    steps: int


@dataclass
class _Measured:
    """Device seconds of a step, and of all the rest, one value for each attempt."""

    step: list[float]
    rest: list[float]


def predict_hours(plan: Plan, store: Store | None, gpus: float) -> Predictions:
    """Predict the device hours of a plan whose tasks get so many GPUs each (0: on CPUs)."""
    kinds = _Kinds(plan)
    left, shared, alone = (list(pieces(plan, kinds)) for pieces in (_left, _shared, _alone))
    history = {} if store is None else _history(plan, kinds, store, gpus)
    found = (
        Prediction(device, *(_predict_amount(pieces, measured) for pieces in (left, shared, alone)))
        for device, measured in sorted(history.items())
    )
    known = tuple(p for p in found if p.shared.known)
    of_a_seed = {
        key: {
            device: amount.hours.expected
            for device, measured in sorted(history.items())
            if not (amount := _predict_amount(pieces, measured)).unknown
        }
        for key, pieces in _one_seed(plan, kinds).items()
    }
    return Predictions(known, _predict_amount(left, {}), gpus or 1.0, of_a_seed)


def predict_power(plan: Plan, stores: Sequence[Store], predicted: Predictions) -> Power:
    """Return what the plan's seeds could show, from earlier results in the databases."""
    return compute_power(plan.expansion.trials, plan.digests, stores, predicted.of_a_seed)


class _Kinds:
    """The keys of planned work, computed once for each recipe."""

    def __init__(self, plan: Plan) -> None:
        self.digests = plan.digests
        self._bodies: dict[int, tuple[str, str]] = {}

    def training(self, trial: Trial, steps: int) -> _Piece:
        key = _training(self._identities_of(trial.recipe)[0], trial.factorization)
        return self._piece("training", key, trial, steps)

    def pretraining(self, pretraining: Pretraining, steps: int) -> _Piece:
        key = _pretraining(self._identities_of(pretraining.recipe)[1], pretraining.form)
        return self._piece("pretraining", key, pretraining, steps)

    @property
    def recipes(self) -> set[str]:
        """The recipes' keys, as `_identities` returns them."""
        return {identity for both in self._bodies.values() for identity in both}

    def _identities_of(self, recipe: Recipe) -> tuple[str, str]:
        # Cells share their recipe, and hashing it is expensive.
        found = self._bodies.get(id(recipe))
        if found is None:
            found = self._bodies[id(recipe)] = _identities(recipe.body)
        return found

    def _piece(self, what: What, recipe: str, subject: Trial | Pretraining, steps: int) -> _Piece:
        dataset = subject.set_name
        same = _Same(what, recipe, self.digests.get(dataset, ""))
        return _Piece(same, subject.recipe.model.flow, dataset, steps)


def _identities(body: str) -> tuple[str, str]:
    """Return the parts of a recipe that the time of a training's step, and of a pretraining's,
    depends on."""
    content = json.loads(body)
    training = {k: v for k, v in content.pop("training", {}).items() if k != "steps"}
    return canonical_json(content | {"training": training}), canonical_json(content)


def _training(recipe: str, factorization: str) -> str:
    return f"{'none' if factorization == 'none' else 'split'} {recipe}"


def _pretraining(recipe: str, nms: str) -> str:
    return f"{nms} {recipe}"


def _find_trained(plan: Plan) -> list[PlannedPretraining]:
    """Return the pretrainings in which something is trained."""
    return [planned for planned in plan.pretrainings if planned.pretraining.form != "data"]


def _left(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """Iterate over the work that a launch would do or wait for, from where it stands."""
    new = [c.cell.trial for c in plan.cells if c.status in ("new", "running")]
    for trial in (trial for trial in new if trial is not None):
        steps, digest = trial.recipe.training.steps, plan.digests.get(trial.set_name, "")
        job = plan.jobs.get(PlannedJob.of_trial(trial.id, digest, steps=steps).id)
        yield kinds.training(trial, steps - (job.step if job else 0))
    for planned in _find_trained(plan):
        pretraining, before = planned.pretraining, 0
        digest = plan.digests.get(pretraining.set_name, "")
        for budget in planned.budgets:
            segment = PlannedJob.of_pretraining(pretraining.id, digest, budget=budget)
            job = plan.jobs.get(segment.id)
            if budget in planned.left:
                yield kinds.pretraining(pretraining, budget - max(before, job.step if job else 0))
            before = budget


def _shared(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """Iterate over all of the work from the start, with shared pretrainings."""
    for trial in plan.expansion.trials:
        yield kinds.training(trial, trial.recipe.training.steps)
    for planned in _find_trained(plan):
        for before, budget in zip((0, *planned.budgets), planned.budgets, strict=False):
            yield kinds.pretraining(planned.pretraining, budget - before)


def _alone(plan: Plan, kinds: _Kinds) -> Iterator[_Piece]:
    """Iterate over all of the work with a separate pretraining for each cell that reads maps."""
    for trial in (cell.trial for cell in plan.expansion.cells):
        if trial is None:
            continue
        yield kinds.training(trial, trial.recipe.training.steps)
        pretraining = trial.pretraining
        if pretraining is not None and pretraining.form != "data" and trial.budget is not None:
            yield kinds.pretraining(pretraining, trial.budget)


def _one_seed(plan: Plan, kinds: _Kinds) -> dict[GroupKey, list[_Piece]]:
    """Return all of the work of one seed from the start, by recipe and data set."""
    trials = defaultdict[GroupKey, dict[int, list[Trial]]](dict)
    ids: dict[int, str] = {}
    for trial in plan.expansion.trials:
        recipe_id = ids.get(id(trial.recipe)) or ids.setdefault(id(trial.recipe), trial.recipe.id)
        trials[recipe_id, trial.set_name].setdefault(trial.seed, []).append(trial)
    found: dict[GroupKey, list[_Piece]] = {}
    for key, by_seed in trials.items():
        # Others may be left out in part.
        most = max(by_seed.values(), key=len)
        found[key] = [kinds.training(trial, trial.recipe.training.steps) for trial in most]
        read = (trial.pretraining for trial in most if trial.pretraining is not None)
        for pid in dict.fromkeys(one.id for one in read if one.form != "data"):
            pretraining, budgets = plan.expansion.pretrainings[pid]
            for before, budget in zip((0, *budgets), budgets, strict=False):
                found[key].append(kinds.pretraining(pretraining, budget - before))
    return found


def _history(
    plan: Plan, kinds: _Kinds, store: Store, gpus: float
) -> dict[str, dict[_Same, _Measured]]:
    """Read the measured times, by device and by key."""
    flows = {trial.recipe.model.flow for trial in plan.expansion.trials}
    bodies = store.recipe_bodies_of_flows(flows)
    wanted = kinds.recipes
    identities = {key: _identities(body) for key, body in bodies.items()}
    alike = {key for key, both in identities.items() if not wanted.isdisjoint(both)}
    batches = {key: json.loads(bodies[key])["optimization"]["batch"] for key in alike}
    found: dict[str, dict[_Same, _Measured]] = defaultdict(dict)
    for duration in store.job_durations(alike, set(plan.digests.values())):
        if _share(duration) != round(gpus, 3):
            continue
        training, pretraining = identities[duration.recipe_id]
        if duration.kind == "trial":
            recipe = _training(training, duration.factorization or "")
            same = _Same("training", recipe, duration.data_digest)
        else:
            recipe = _pretraining(pretraining, duration.nms or "")
            same = _Same("pretraining", recipe, duration.data_digest)
        measured = found[_device(duration)].setdefault(same, _Measured([], []))
        held = _share(duration) or 1.0
        steps, trained = duration.last_step - duration.first_step, 0.0
        if duration.images_per_second and steps > 0:
            trained = min(
                duration.seconds, steps * batches[duration.recipe_id] / duration.images_per_second
            )
            measured.step.append(held * trained / steps)
        measured.rest.append(held * (duration.seconds - trained))
    return found


def _share(duration: JobDuration) -> float:
    """Return the share of a GPU; 0 on a CPU."""
    if duration.gpu_seconds is None or not duration.seconds:
        return 0.0
    return round(duration.gpu_seconds / duration.seconds, 3)


def name_cpu(device_name: str, cpu_capability: str) -> str:
    """Return the name under which predictions have a CPU."""
    return f"CPU ({device_name}, {cpu_capability})"


def _device(duration: JobDuration) -> str:
    if duration.gpu_seconds is None:
        return name_cpu(duration.device_name, duration.cpu_capability)
    share = _share(duration)
    return duration.device_name if share == 1 else f"{share:g} of {duration.device_name}"


def _predict_amount(pieces: Sequence[_Piece], history: Mapping[_Same, _Measured]) -> Amount:
    groups = defaultdict[tuple[_Same, str, str], list[_Piece]](list)
    for piece in pieces:
        groups[piece.same, piece.flow, piece.dataset].append(piece)
    return Amount(
        tuple(_predict_part(group, history.get(same)) for (same, *_), group in groups.items())
    )


def _predict_part(pieces: Sequence[_Piece], measured: _Measured | None) -> PredictedPart:
    """Predict pieces that are all the same work."""
    first, steps = pieces[0], sum(piece.steps for piece in pieces)
    hours, attempts = None, 0
    if measured is not None and (measured.step or not steps):
        step = np.percentile(measured.step, QUANTILES) if steps else np.zeros(len(QUANTILES))
        rest = np.percentile(measured.rest, QUANTILES)
        low, expected, high = ((steps * step + len(pieces) * rest) / 3600).tolist()
        hours, attempts = Hours(expected, low, high), len(measured.rest)
    return PredictedPart(
        first.same.what,
        first.flow,
        first.dataset,
        len(pieces),
        steps,
        attempts,
        hours,
        prepared=bool(first.same.data_digest),
    )
