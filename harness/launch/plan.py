"""The plan of a sweep: the difference between its spec and what the database has."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from lcma import db
from lcma.db import Job, JobFacts, PlannedJob, Registration, Store, leases
from lcma.db.results import require_same_measures
from lcma.harness import data
from lcma.harness.cpus import count_cpus
from lcma.harness.data.bars import ensure_bars
from lcma.harness.place import Place
from lcma.harness.shards import open_reference
from lcma.harness.text import format_time, printable
from lcma.harness.work.units import Terms, Work
from lcma.sweeps import catalog, factorizations, plugins
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Cell, Expansion, Pretraining, Trial, expand
from lcma.sweeps.identity import content_id
from lcma.sweeps.measures import PluginMeasure, list_measures, plugin_measures
from lcma.sweeps.options import Overrides
from lcma.sweeps.recipe import Recipe
from lcma.sweeps.spec import Resources, Spec

if TYPE_CHECKING:
    import pandas as pd

    from lcma.harness.results.power import Power

SLICE = 10_000
"""Most trials and jobs that one transaction registers."""

NOTE_SECONDS = 10.0
"""Interval between notes on the progress of a registration."""

SpecLike = str | os.PathLike[str] | Mapping[str, Any] | Spec

Losses = dict[tuple[str, int | None], str]
"""By pretraining and budget the state of the lost segment that keeps its maps from being made."""

HERE, REFERENCE = "here", "reference"
"""The names of the database of a plan, and of the one that comes with the package."""

Status = Literal["new", "there", "running", "diverged", "failed", "blocked", "same", "invalid"]


@dataclass(frozen=True)
class PlannedCell:
    """A cell of the matrix with its status and a note on it."""

    cell: Cell
    status: Status
    note: str

    @property
    def trial_id(self) -> str | None:
        return self.cell.trial.id if self.cell.trial else None


@dataclass(frozen=True)
class PlannedPretraining:
    """A shared pretraining of a plan."""

    pretraining: Pretraining

    budgets: tuple[int, ...]
    """Its budgets in the spec."""

    there: tuple[int, ...]
    """Budgets whose maps the database has."""

    trials: int
    """The number of trials that read its maps."""

    lost: Mapping[int, str]
    """Budgets whose maps cannot be made, with the state of the lost segment."""

    @property
    def left(self) -> tuple[int, ...]:
        """Budgets whose maps a launch would make or wait for."""
        return tuple(b for b in self.budgets if b not in self.there and b not in self.lost)


@dataclass(frozen=True)
class PlannedStep:
    """A job of a plan."""

    job: PlannedJob
    subject: Trial | Pretraining
    after: str | None  # id of the job that it waits for


@dataclass(frozen=True)
class Plan:
    """The work that a launch of a spec would do."""

    expansion: Expansion
    cells: tuple[PlannedCell, ...]
    pretrainings: tuple[PlannedPretraining, ...]

    digests: Mapping[str, str] = field(default_factory=dict)
    """By name the content hashes of the data sets that are prepared."""

    steps: tuple[PlannedStep, ...] = ()
    """The task graph on prepared data sets: a job comes after the one that it waits for."""

    jobs: Mapping[str, Job] = field(default_factory=dict)
    """By id the jobs of the steps that the database has."""

    images: Mapping[str, int] = field(default_factory=dict)
    """By name the number of images of the data sets that are prepared."""

    power: "tuple[Power, ...]" = ()
    """What its seeds could show; only `lcma.plan` and `lcma plan` compute it."""

    @property
    def spec(self) -> Spec:
        return self.expansion.spec

    def __repr__(self) -> str:
        return f"<plan of {self.spec.name}: {self.summary}>"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each cell: what it is, its status, and a note."""
        import pandas as pd

        keys = ["flow", "dataset", "factorization", "budget", "seed"]
        rows = [
            (*(getattr(c.cell, name) for name in keys), c.status, c.note, c.trial_id)
            for c in self.cells
        ]
        names = [*keys, "status", "note", "trial_id"]
        return pd.DataFrame(rows, columns=names).astype({"budget": "Int64"})

    def _repr_html_(self) -> str:
        frame = self.to_pandas().astype(object)
        frame = frame.map(lambda value: printable(value) if isinstance(value, str) else value)
        return frame.where(frame.notna(), "-").to_html(escape=True, index=False, max_rows=60)

    @property
    def invalid(self) -> tuple[PlannedCell, ...]:
        return tuple(c for c in self.cells if c.status == "invalid")

    def count(self) -> Counter[Status]:
        """Count the cells with each status."""
        return Counter(c.status for c in self.cells)

    @property
    def summary(self) -> str:
        """The number of cells with each status, in one line."""
        return ", ".join(f"{count} {status}" for status, count in sorted(self.count().items()))

    @property
    def unprepared(self) -> list[str]:
        """The data sets that are not prepared, so that no stored result can be of them."""
        return [name for name in set_names(self.expansion) if name not in self.digests]

    @property
    def threads(self) -> int:
        """The most CPU threads that any of its trials takes."""
        return max(trial.recipe.optimization.threads for trial in self.expansion.trials)

    @property
    def lost(self) -> int:
        """The number of trials that ended without a result, or need a pretraining that did."""
        counts = self.count()
        return counts["failed"] + counts["diverged"] + counts["blocked"]

    @property
    def trainings_left(self) -> int:
        """The number of trials that a launch would run or wait for."""
        return sum(c.status in ("new", "running") for c in self.cells)

    @property
    def pretrainings_left(self) -> int:
        """The number of pretrainings whose maps a launch would make or wait for."""
        return sum(bool(p.left) for p in self.pretrainings)


def read_spec(
    spec: SpecLike, place: Place, overrides: Overrides, source: str = "command line"
) -> Spec:
    """Read a spec by the name of a shipped spec, its path or its content, and apply overrides.

    It may name the user's own data sets, which are below the data root. ``source`` is where the
    overrides are from, for errors.
    """
    data.register_own_sets(place.data)
    if isinstance(spec, Mapping):
        spec = specs.check(dict(spec), "spec")
    elif not isinstance(spec, Spec):
        spec = specs.load(os.fspath(spec))
    return specs.with_overrides(spec, where=source, **overrides)


def open_existing(place: Place) -> Store | None:
    """Open the database if it exists. Raises UserError if its URL is invalid."""
    return db.connect(place.db, create=False) if db.exists(place.db) else None


def list_histories(store: Store | None) -> dict[str, Store]:
    """Return the databases from which the spread of seeds and the time of jobs are estimated.

    These are the plan's own, "here", and then the "reference" if it can be opened.
    """
    histories = {} if store is None else {HERE: store}
    with suppress(UserError):
        reference = db.connect(str(open_reference()), create=False)
        if store is not None and store.url == reference.url:
            return {REFERENCE: store}
        histories[REFERENCE] = reference
    return histories


def make_plan(spec: Spec, place: Place, store: Store | None) -> Plan:
    """Plan a spec against a database. Without a database everything is new."""
    if store is not None:
        require_same_measures(store.measure_kinds(), list_measures())
    return plan_expansion(expand(spec), place, store)


def plan_expansion(expansion: Expansion, place: Place, store: Store | None) -> Plan:
    """Plan an expansion against a database. Without a database everything is new.

    Raises UserError if a batch is larger than the training part.
    """
    manifests = {
        name: data.load(name, place.data).manifest
        for name in set_names(expansion)
        if (place.data / name / "manifest.json").exists()
    }
    _require_batches(expansion, manifests)
    digests = {name: manifest.digest for name, manifest in manifests.items()}
    counts = {name: manifest.counts for name, manifest in manifests.items()}
    images = {name: parts.train + parts.holdout + parts.test for name, parts in counts.items()}
    steps = _make_steps(expansion, digests)
    return update_plan(Plan(expansion, (), (), digests, steps, images=images), store)


def _make_steps(expansion: Expansion, digests: Mapping[str, str]) -> tuple[PlannedStep, ...]:
    """Build the task graph: segments in a chain, then trials, those that read maps last."""
    steps: list[PlannedStep] = []
    segments: dict[tuple[str, int], str] = {}
    for pid, (pretraining, budgets) in expansion.pretrainings.items():
        digest, after = digests.get(pretraining.set_name), None
        if digest is None:
            continue
        for budget in budgets:
            job = PlannedJob.of_pretraining(pretraining.id, digest, budget=budget)
            steps.append(PlannedStep(job, pretraining, after))
            after = segments[pid, budget] = job.id
    reading_maps: list[PlannedStep] = []
    for trial in expansion.trials:
        digest = digests.get(trial.set_name)
        if digest is None:
            continue
        job = PlannedJob.of_trial(trial.id, digest, steps=trial.recipe.training.steps)
        if trial.pretraining is None or trial.budget is None:
            steps.append(PlannedStep(job, trial, None))
        else:
            reading_maps.append(
                PlannedStep(job, trial, segments[trial.pretraining.id, trial.budget])
            )
    return (*steps, *reading_maps)


def update_plan(plan: Plan, store: Store | None) -> Plan:
    """Return the plan with the current states of its jobs in the database."""
    expansion = plan.expansion
    jobs = store.jobs([step.job.id for step in plan.steps]) if store else {}
    now = store.now() if store and any(job.state == "running" for job in jobs.values()) else 0.0
    reruns = store.reruns() if store else {}
    trial_jobs: dict[str, Job] = {}
    segment_jobs: dict[tuple[str, int | None], Job] = {}
    for step in plan.steps:
        if (job := jobs.get(step.job.id)) is None:
            continue
        if isinstance(step.subject, Trial):
            trial_jobs[step.subject.id] = job
        else:
            segment_jobs[step.subject.id, step.job.budget] = job
    users = Counter(t.pretraining.id for t in expansion.trials if t.pretraining)
    pretrainings = tuple(
        PlannedPretraining(
            pretraining,
            budgets,
            tuple(b for b in budgets if _is_done(segment_jobs.get((pid, b)))),
            users[pid],
            _find_losses({b: segment_jobs.get((pid, b)) for b in budgets}),
        )
        for pid, (pretraining, budgets) in expansion.pretrainings.items()
    )
    lost: Losses = {
        (planned.pretraining.id, budget): state
        for planned in pretrainings
        for budget, state in planned.lost.items()
    }
    cells = tuple(
        _note_rerun(_plan_cell(cell, trial_jobs, lost, now), trial_jobs, reruns)
        for cell in expansion.cells
    )
    return replace(plan, cells=cells, pretrainings=pretrainings, jobs=jobs)


def find_unmeasured(plan: Plan, store: Store | None) -> tuple[list[PluginMeasure], list[JobFacts]]:
    """Return the plug-ins' measures that earlier results lack, and the trials of these results."""
    done = [cell.cell.trial for cell in plan.cells if cell.status == "there" and cell.cell.trial]
    keys = {(trial.id, plan.digests[trial.set_name]) for trial in done}
    measures, trial_ids = list[PluginMeasure](), set[str]()
    if store is None or not keys:
        return measures, []
    for measure in plugin_measures():
        rows = store.view("measures", measure=[measure.name])
        missing = keys - set(zip(rows.trial_id, rows.data_digest, strict=True))
        if missing:
            measures.append(measure)
            trial_ids |= {trial_id for trial_id, _ in missing}
    facts = store.job_facts(trial_ids=trial_ids)
    return measures, [job for job in facts if (job.trial_id, job.data_digest) in keys]


def register_plan(
    plan: Plan, place: Place, store: Store, note: Callable[[str], None] = lambda line: None
) -> str:
    """Write everything that a launch of the plan needs into the database; return the sweep's id.

    Every data set must have been prepared when the plan was made. Bars of a data set that are
    missing are measured. A large plan is written in slices, so that others can write in between,
    with notes on the progress. The next launch completes a registration that was cut short.
    """
    _require_prepared(plan)
    prepared = {name: data.load(name, place.data) for name in set_names(plan.expansion)}
    spec = plan.spec
    sweep = db.Sweep(id=content_id("sweep", {"spec": spec.body}), name=spec.name, spec=spec.body)
    jobs = [step.job for step in plan.steps]
    registration = replace(
        make_registration(plan.expansion.trials, prepared.values(), jobs),
        sweeps=(sweep,),
        members=tuple(
            db.SweepMember(sweep.id, c.trial.id, c.factorization)
            for c in plan.expansion.cells
            if c.trial
        ),
        bars=tuple(
            db.Bar(data_digest=p.manifest.digest, **asdict(bar))
            for p in prepared.values()
            for bar in ensure_bars(p)
        ),
    )
    noted, done = time.monotonic(), 0
    for part in registration.slices(SLICE):
        store.register(part)
        done += len(part.trials) + len(part.members) + len(part.jobs)
        if time.monotonic() - noted >= NOTE_SECONDS:
            rows = len(registration.trials) + len(registration.members) + len(registration.jobs)
            note(f"registered {100 * done // rows} % of {len(jobs)} jobs")
            noted = time.monotonic()
    return sweep.id


def make_registration(
    trials: Sequence[Trial], prepared: Iterable[data.PreparedSet], jobs: Iterable[PlannedJob]
) -> Registration:
    """Return all rows that these trials, their pretrainings and these jobs need in a database."""
    shared = {t.pretraining.id: t.pretraining for t in trials if t.pretraining}
    return Registration(
        recipes=tuple(_recipe_rows(trials)),
        data_sets=tuple(_data_set_row(p) for p in prepared),
        pretrainings=tuple(_pretraining_row(p) for p in shared.values()),
        trials=tuple(_trial_row(t) for t in trials),
        jobs=tuple(jobs),
    )


def make_works(
    plan: Plan,
    place: Place,
    *,
    owner: str,
    device: Literal["cpu", "cuda"],
    gpus: float = 0.0,
    terms: Terms | None = None,
) -> list[Work]:
    """Return the plan's steps as work for workers, in the same order."""
    return [
        Work(
            step.job,
            step.subject,
            place,
            owner,
            device,
            step.after,
            gpus,
            plugins=plugins.loaded(plugins_of(step.subject)),
            terms=terms or Terms(),
            keep=plan.spec.keep,
        )
        for step in plan.steps
    ]


def plugins_of(subject: Trial | Pretraining) -> set[str]:
    """Return the versions of the plug-ins that a subject needs.

    A trial also needs those with measures, which are taken of every trial.
    """
    versions = set(subject.plugins)
    if isinstance(subject, Trial):
        versions |= {measure.version for measure in plugin_measures() if measure.version}
    return versions


def _require_prepared(plan: Plan) -> None:
    if plan.unprepared:
        raise UserError(
            f"{plan.unprepared[0]} was not prepared when this was planned: plan it again"
        )


def require_valid(plan: Plan, *, skip_invalid: bool) -> None:
    """Raise UserError if no cell is valid, or if one is invalid and ``skip_invalid`` is not set."""
    if not plan.cells:
        raise UserError(f"{plan.spec.name}: `exclude` leaves out every cell: exclude less")
    invalid = plan.invalid
    if not invalid:
        return
    first = invalid[0]
    cell = f"{first.cell.flow} {first.cell.dataset} {first.cell.factorization}: {first.note}"
    if len(invalid) == len(plan.cells):
        raise UserError(f"{plan.spec.name}: no cell can be run; the first is {cell}")
    if not skip_invalid:
        raise UserError(
            f"{plan.spec.name}: {len(invalid)} of {len(plan.cells)} cells cannot be run; the first "
            f"is {cell}; launch the rest with --skip-invalid"
        )


def count_slots(resources: Resources, threads: int) -> int:
    """Return how many trials with so many threads run at once on this process's CPUs."""
    share = resources.cpus if resources.cpus is not None else threads
    return max(1, int(count_cpus() / share + 1e-9))


def check_compilable(expansion: Expansion, resources: Resources) -> None:
    """Raise UserError if a recipe compiles and trials run on CPUs."""
    if not resources.gpus and any(t.recipe.optimization.compile for t in expansion.trials):
        raise UserError(
            "`optimization.compile: true` is for GPUs, and these trials run on CPUs: "
            "give `resources.gpus: 1` or launch with --gpus 1, or leave it out of the recipe"
        )


def _require_batches(expansion: Expansion, manifests: Mapping[str, data.Manifest]) -> None:
    trained: list[Trial | Pretraining] = [*expansion.trials]
    trained += (pretraining for pretraining, _ in expansion.pretrainings.values())
    for subject in trained:
        batch, manifest = subject.recipe.optimization.batch, manifests.get(subject.set_name)
        if manifest is not None and batch > manifest.counts.train:
            raise UserError(
                f"`optimization.batch` of {batch} is more than the {manifest.counts.train} "
                f"training images of {subject.set_name}: give at most as many"
            )


def _is_done(job: Job | None) -> bool:
    return job is not None and job.state == "done"


def _plan_cell(cell: Cell, jobs: Mapping[str, Job], lost: Losses, now: float) -> PlannedCell:
    if cell.trial is None:
        return PlannedCell(cell, "invalid", cell.reason or "")
    if cell.same_as is not None:
        return PlannedCell(cell, "same", f"the same experiment as {cell.same_as}")
    job = jobs.get(cell.trial.id)
    if (
        job is None
        or job.state == "pending"
        or (job.state == "running" and not leases.is_held(job.lease_until, now))
    ):
        pretraining = cell.trial.pretraining
        state = lost.get((pretraining.id, cell.trial.budget)) if pretraining else None
        if state:
            return PlannedCell(cell, "blocked", f"its pretraining {state}; launch with --retry")
        note = f"goes on from step {job.step}" if job and job.step else ""
        return PlannedCell(cell, "new", note)
    if job.state == "done":
        return PlannedCell(cell, "there", "")
    if job.state == "running":
        return PlannedCell(cell, "running", f"on {job.host}, step {job.step} of {job.steps}")
    return PlannedCell(cell, job.state, "launch with --retry to run it again")


def _note_rerun(
    planned: PlannedCell, jobs: Mapping[str, Job], reruns: Mapping[str, db.Rerun]
) -> PlannedCell:
    trial = planned.cell.trial
    job = None if trial is None or planned.status == "same" else jobs.get(trial.id)
    rerun = None if job is None else reruns.get(job.id)
    if rerun is None:
        return planned
    stays = f"its result of {format_time(rerun.made)} stays"
    if rerun.state not in ("failed", "diverged"):
        stays = f"to be rerun, {stays} until then"
    return replace(planned, note="; ".join(filter(None, (stays, planned.note))))


def _find_losses(segments: Mapping[int, Job | None]) -> dict[int, str]:
    """Return the budgets whose maps cannot be made, with the state of the lost segment.

    ``segments`` ascend by budget.
    """
    losses, state = dict[int, str](), ""
    # A segment goes on from the longest segment before it that is done.
    for budget, segment in segments.items():
        if _is_done(segment):
            state = ""
        elif not state and segment is not None and segment.state in ("failed", "diverged"):
            state = segment.state
        if state:
            losses[budget] = state
    return losses


def _recipe_rows(trials: Sequence[Trial]) -> Iterable[db.RecipeRow]:
    """Return a row for each recipe, and a row for each part of a recipe that pretrainings have."""
    # Trials share recipe objects, and hashing one is expensive.
    recipes = {id(trial.recipe): (trial.recipe, trial.profile) for trial in trials}
    shared = [(trial.pretraining, trial.profile) for trial in trials if trial.pretraining]
    parts = {(id(p.recipe), p.form): (p, profile) for p, profile in shared}
    rows = [_recipe_row(recipe, profile) for recipe, profile in recipes.values()]
    rows += [_part_row(pretraining, profile) for pretraining, profile in parts.values()]
    return {row.id: row for row in rows}.values()


def _part_row(pretraining: Pretraining, profile: str) -> db.RecipeRow:
    """Return the row of the part of a recipe on which a pretraining depends."""
    row = replace(
        _recipe_row(pretraining.recipe, profile),
        id=pretraining.recipe_id,
        flow=pretraining.flow,
        body=pretraining.recipe_body,
        steps=0,
    )
    # All flows and profiles share the measured data, and so this row.
    return row if pretraining.form != "data" else replace(row, profile="data", conventional=None)


def _recipe_row(recipe: Recipe, profile: str) -> db.RecipeRow:
    try:
        conventional = factorizations.canonical(
            "conventional",
            conventional=catalog.flows()[recipe.model.flow],
            splits=recipe.model.splits,
        )
    except factorizations.ImpossibleError:
        conventional = None
    return db.RecipeRow(
        id=recipe.id,
        flow=recipe.model.flow,
        profile=profile,
        splits=recipe.model.splits,
        size=recipe.model.size,
        steps=recipe.training.steps,
        body=recipe.body,
        conventional=conventional,
    )


def _data_set_row(prepared: data.PreparedSet) -> db.DataSet:
    manifest = prepared.manifest
    channels, height, width = manifest.shape
    return db.DataSet(
        digest=manifest.digest,
        name=manifest.dataset,
        variant=manifest.variant,
        channels=channels,
        height=height,
        width=width,
        train=manifest.counts.train,
        holdout=manifest.counts.holdout,
        test=manifest.counts.test,
        manifest=manifest.model_dump_json(),
    )


def _pretraining_row(pretraining: Pretraining) -> db.PretrainingRow:
    return db.PretrainingRow(
        id=pretraining.id,
        recipe_id=pretraining.recipe_id,
        flow=pretraining.flow,
        dataset=pretraining.dataset,
        variant=pretraining.variant,
        seed=pretraining.seed,
        nms=pretraining.form,
    )


def _trial_row(trial: Trial) -> db.TrialRow:
    return db.TrialRow(
        id=trial.id,
        recipe_id=trial.recipe.id,
        flow=trial.recipe.model.flow,
        profile=trial.profile,
        dataset=trial.dataset,
        variant=trial.variant,
        factorization=trial.factorization,
        seed=trial.seed,
        budget=trial.budget,
        pretraining_id=trial.pretraining.id if trial.pretraining else None,
        map_options=trial.map_options,
    )


def set_names(expansion: Expansion) -> list[str]:
    """Return the names of the data sets of an expansion's trials."""
    return sorted({t.set_name for t in expansion.trials})
