"""A trial trained again from scratch, with its pretraining, and compared with its result.

The second training has a temporary database and folder, so that the result and its job stay as they
are.
"""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import ValidationError

from lcma import db
from lcma.db import JobFacts, Measurement, PlannedJob, Store
from lcma.db.results import BOUND
from lcma.db.schema import attempts, environments, jobs
from lcma.harness import data
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.plan import make_registration, plugins_of
from lcma.harness.launch.sweep import Callback, Progress
from lcma.harness.measure.trials import choose_device
from lcma.harness.measure.weights import load_data, load_recipe
from lcma.harness.place import Place
from lcma.harness.results.filters import Filters
from lcma.harness.results.lookup import (
    find_trial_id,
    parse_object,
    read_environment_of,
    require_results,
)
from lcma.harness.text import format_count
from lcma.harness.train.protocol import PLAIN
from lcma.harness.version import read_code_version
from lcma.harness.work.units import Work
from lcma.sweeps import factorizations, known_sets, plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Pretraining, Trial, make_pretraining
from lcma.sweeps.identity import content_id
from lcma.sweeps.measures import BITS_PER_DIM, TIME_MEASURES, find_measure
from lcma.sweeps.recipe import MapOptions
from lcma.sweeps.spec import Keep

DECISIVE_FACTS = ("torch", "device", "cpu_capability", "driver", "threads")
"""Parts of an environment on which the bits of a training depend."""

ENVIRONMENT_FACTS = ("code_version", "dirty", *DECISIVE_FACTS)
"""Parts of an environment that are compared."""

ROW_COLUMNS = (
    *("dataset", "variant", "data_digest", "recipe_id"),
    *("factorization", "budget", "map_options"),
)
"""Columns of `results` that are equal for results which differ only in their seeds."""


@dataclass(frozen=True)
class Comparison:
    """A stored measurement and that of the second training."""

    stored: Measurement
    again: Measurement

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def unit(self) -> str:
        return find_measure(self.name).unit

    @property
    def equal(self) -> bool:
        """True if value and standard error are equal to the last bit."""
        return self.stored == self.again

    @property
    def difference(self) -> float:
        """The second value minus the stored one."""
        return self.again.value - self.stored.value

    def in_bits_per_dim(self, dimensions: int) -> float:
        """Return the absolute difference in bits/dim; 0 if the unit does not allow it."""
        if self.unit == find_measure(BITS_PER_DIM).unit:
            return abs(self.difference)
        of_image = self.unit == find_measure("log_det").unit
        return abs(self.difference) / (dimensions * math.log(2)) if of_image else 0.0


@dataclass(frozen=True)
class Reproduction:
    """A trial and its second training."""

    trial: JobFacts
    comparisons: tuple[Comparison, ...]
    uncompared: tuple[str, ...]  # measures that only one of the two trainings has
    largest: Comparison  # the comparison that differs most in bits/dim
    largest_difference: float  # in bits/dim
    tolerance: float  # largest good difference where few seeds are stored
    device: str  # of the second training
    threads: int
    other_seeds: tuple[float, ...]  # bits/dim of the row's other seeds
    made: Mapping[str, Any]  # facts of the stored training's environment
    made_again: Mapping[str, Any]
    maps_made: Mapping[str, Any]  # the same of the maps that it read, empty without maps
    maps_made_again: Mapping[str, Any]
    other_tables: tuple[int, ...]  # splits whose index tables differ: another model was trained

    @property
    def equal(self) -> bool:
        """True if all compared measures are equal to the last bit."""
        return all(comparison.equal for comparison in self.comparisons)

    @property
    def bits_per_dim(self) -> Comparison:
        """Bits/dim of the test part."""
        return next(c for c in self.comparisons if c.name == BITS_PER_DIM)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the row's other seeds; None if there are too few."""
        return statistics.stdev(self.other_seeds) if len(self.other_seeds) >= 3 else None

    @property
    def same_environment(self) -> bool:
        """True if the bits must be equal."""
        pairs = (self.made, self.made_again), (self.maps_made, self.maps_made_again)
        return all(
            then.get(name) == now.get(name) for then, now in pairs for name in DECISIVE_FACTS
        )

    @property
    def outcome(self) -> str:
        """How the trainings compare, in the words of `lcma reproduce`."""
        if self.equal:
            return "equal to the last bit"
        if self.same_environment:
            return "not equal, though processor, PyTorch and threads are the same"
        if self.spread is None:
            side = "within" if self.largest_difference <= self.tolerance else "outside"
            return f"{side} the tolerance of {self.tolerance:g} bits/dim"
        side = "within" if abs(self.bits_per_dim.difference) <= 2 * self.spread else "outside"
        return f"{side} the spread of seeds"

    @property
    def verified(self) -> bool:
        """True if the difference is as small as this environment allows."""
        return self.outcome.startswith(("equal", "within"))


def reproduce(
    store: Store,
    place: Place,
    start: str,
    *,
    tolerance: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reproduction:
    """Train a trial again and compare; nothing is stored.

    Args:
        store: The database that has the result.
        place: Where the data are.
        start: The first characters of the trial's id.
        tolerance: The largest good difference in bits/dim where too few seeds are stored.
        progress: Called with the number of training steps that are done, and of all steps.

    Raises:
        UserError: The trial has no result, its data or a plug-in are missing here, or training it
            again fails.
    """
    facts, prepared = _find_result(store, place, find_trial_id(store, start))
    trial, device = _rebuild_trial(store, facts), choose_device(store, facts)
    stored = _Outcome(store, facts)
    # Cleaning up may fail while a worker that was killed has not ended yet.
    temporary = tempfile.TemporaryDirectory(prefix="lcma-reproduce-", ignore_cleanup_errors=True)
    with temporary as folder:
        temporary_place = Place(str(Path(folder, "again.db")), Path(folder, "runs"), place.data)
        with db.connect(temporary_place.db) as store_again:
            _train(store_again, temporary_place, trial, prepared, device, progress)
            again = _Outcome(store_again, facts)
    # A bound of other draws or images, as `lcma measure` may store, is another measure.
    other_bound = stored.bound_extent != again.bound_extent
    skipped = {*TIME_MEASURES, *(BOUND if other_bound else ())}
    names = sorted((stored.measures.keys() & again.measures.keys()) - skipped)
    comparisons = tuple(Comparison(stored.measures[n], again.measures[n]) for n in names)
    dimensions = math.prod(prepared.manifest.shape)
    largest = max(comparisons, key=lambda comparison: comparison.in_bits_per_dim(dimensions))
    row = {name: getattr(facts, name) for name in ROW_COLUMNS}
    seeds = store.view("results", **row, protocol=PLAIN.name)
    return Reproduction(
        trial=facts,
        comparisons=comparisons,
        uncompared=tuple(
            sorted((stored.measures.keys() | again.measures.keys()) - {*names, *TIME_MEASURES})
        ),
        largest=largest,
        largest_difference=largest.in_bits_per_dim(dimensions),
        tolerance=tolerance,
        device=device,
        threads=trial.recipe.optimization.threads,
        other_seeds=tuple(seeds.bits_per_dim[seeds.seed != facts.seed]),
        made=stored.made,
        made_again=again.made,
        maps_made=stored.maps_made,
        maps_made_again=again.maps_made,
        other_tables=tuple(
            k for k in sorted(stored.tables) if stored.tables[k] != again.tables.get(k)
        ),
    )


class _Outcome:
    """What a training stored: measures by name, draws and images of its bound, the environments of
    the training and of its maps, and the digest of each split's index table."""

    def __init__(self, store: Store, facts: JobFacts) -> None:
        result = store.result(facts.subject, facts.data_digest, PLAIN.name)
        assert result is not None
        self.measures = {measure.name: measure for measure in result.measures}
        self.made, self.maps_made = _read_facts(store, facts.job_id), dict[str, Any]()
        if facts.pretraining_id is not None:
            segment = PlannedJob.of_pretraining(
                facts.pretraining_id, facts.data_digest, budget=facts.budget or 0
            )
            self.maps_made = _read_facts(store, segment.id)
        bound = self.measures.get("bound_bits_per_dim")
        self.bound_extent = self.measures.get("bound_draws"), bound and bound.images
        tables = db.select_view("maps", trial_id=facts.subject, data_digest=facts.data_digest)
        self.tables: dict[int, str] = {row.split: row.digest for row in store.rows(tables)}


def _read_facts(store: Store, job_id: str) -> dict[str, Any]:
    """Return the environment in which a job was done; values that changed meanwhile are joined."""
    columns = attempts.c["id", "continues", "first_step", "threads"]
    facts_but_threads = environments.c[tuple(n for n in ENVIRONMENT_FACTS if n != "threads")]
    query = (
        sa.select(jobs.c.done_attempt_id, *columns, *facts_but_threads)
        .join_from(jobs, attempts)
        .join(environments)
        .where(jobs.c.id == job_id)
        .order_by(attempts.c.started)
    )
    rows = {row.id: row for row in store.rows(query)}
    used = {row.done_attempt_id for row in rows.values()}
    for row in reversed(rows.values()):
        used |= {row.continues} if row.id in used and row.first_step else set()
    facts = {
        name: dict.fromkeys(getattr(row, name) for row in rows.values() if row.id in used)
        for name in ENVIRONMENT_FACTS
    }
    return {
        name: next(iter(values)) if len(values) == 1 else " and ".join(map(str, values))
        for name, values in facts.items()
        if values
    }


def choose_reproducible(
    store: Store,
    place: Place,
    sweep_id: str | None,
    filters: Filters,
    number: int | None,
) -> list[str]:
    """Return the ids of trials with a result, of all sweeps or one, or a random sample of them.

    Of the same database it chooses the same trials.

    Raises:
        UserError: There are fewer, or one of them cannot be trained again here.
    """
    require_results(store, sweep_id, filters)
    named = {*store.view("results", sweep_id=sweep_id, **filters).trial_id}
    rows = store.view("results", trial_id=named, protocol=PLAIN.name)
    trials = sorted(set(rows.trial_id))
    if len(trials) < (number or 1):
        have = format_count(len(trials), "trial")
        raise UserError(
            f"{store.name} has {have} with such a result: give --sample {len(trials)} or less"
            if trials
            else "there is no such result yet: `lcma status` shows what is under way"
        )
    # Sorted by hash, so that trials that are added later do not change the order of the others.
    trials.sort(key=lambda trial: content_id("sample", {"seed": 0, "trial": trial}))
    trials = trials[:number]
    for trial in trials:  # refused before the first one trains
        _rebuild_trial(store, _find_result(store, place, trial)[0])
    return trials


def _find_result(store: Store, place: Place, trial_id: str) -> tuple[JobFacts, data.PreparedSet]:
    """Return a trial with a result, preferably on the data here, and its data."""
    facts = store.job_facts(trial_ids=[trial_id])
    found = [job for job in facts if store.result(job.subject, job.data_digest, PLAIN.name)]
    if not found:
        raise UserError(f"trial {trial_id} has no result yet: `lcma why {trial_id[:8]}` says why")
    name = known_sets.set_name(found[0].dataset, found[0].variant)
    here = data.load(name, place.data).manifest.digest
    job = next((job for job in found if job.data_digest == here), found[0])
    return job, load_data(place, job)


def _rebuild_trial(store: Store, facts: JobFacts) -> Trial:
    """Return the trial as a sweep would plan it. Raises UserError if it gets another id here."""
    options = {k: v for k, v in parse_object(facts.map_options or "{}").items() if k != "rule"}
    recipe, rule, pretraining = load_recipe(store, facts), facts.factorization_or_kind, None
    made_with = read_environment_of(store, facts.job_id).get("code_version")
    other = "" if made_with == read_code_version()[0] else f", or take lcma {made_with}"
    another = UserError(
        f"trial {facts.trial_id} is another trial here: name in LCMA_PLUGINS the plug-in that its "
        f"flow or rule is from, as it was{other}"
    )
    try:
        recipe = recipe.model_copy(update={"maps": MapOptions.model_validate(options)})
    except ValidationError:
        raise another from None
    if facts.pretraining_id is not None:
        pretraining = make_pretraining(
            recipe, facts.dataset, facts.variant, rule, facts.seed, facts.budget or 0
        )
    trial = Trial(
        recipe=recipe,
        profile=facts.profile,
        dataset=facts.dataset,
        variant=facts.variant,
        factorization=rule,
        seed=facts.seed,
        budget=facts.budget,
        pretraining=pretraining,
        rule=factorizations.version(rule),
    )
    here = {plugin.version for plugin in plugins.loaded()}
    if trial.id != facts.trial_id or not trial.plugins <= here:
        raise another
    return trial


def _train(
    store: Store,
    place: Place,
    trial: Trial,
    prepared: data.PreparedSet,
    device: Literal["cpu", "cuda"],
    progress: Callable[[int, int], None],
) -> None:
    """Train the pretraining, if there is one, and then the trial."""

    digest = prepared.manifest.digest
    job = PlannedJob.of_trial(trial.id, digest, steps=trial.recipe.training.steps)
    steps: list[tuple[PlannedJob, Trial | Pretraining]] = [(job, trial)]
    if trial.pretraining is not None and trial.budget is not None:
        job = PlannedJob.of_pretraining(trial.pretraining.id, digest, budget=trial.budget)
        steps.insert(0, (job, trial.pretraining))
    store.register(make_registration([trial], [prepared], [job for job, _ in steps]))
    works = [
        Work(
            job,
            subject,
            place,
            owner="reproduction",
            device=device,
            after=steps[0][0].id if number else None,
            gpus=1.0 if device == "cuda" else 0.0,
            plugins=plugins.loaded(plugins_of(trial)),
            keep=Keep(weights=False),
        )
        for number, (job, subject) in enumerate(steps)
    ]

    def show(state: Progress) -> None:
        done = sum(work.job.steps for work in works[: state.ended])
        done += sum(job.step for job in state.running)
        progress(done, sum(work.job.steps for work in works))

    executor = LocalExecutor(1, gpus=int(device == "cuda"))
    try:
        reports = Launch(store, works, executor, Callback(show)).run()
    finally:
        executor.close(kill=True)
    for report in reports.values():
        if report.ending != "done":
            why = (report.message.strip().splitlines() or [report.ending])[-1]
            raise UserError(f"trial {trial.id} could not be trained again ({report.ending}): {why}")
