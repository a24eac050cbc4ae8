"""A trial trained again from scratch, with its pretraining, and compared with its result.

It is trained in a database and a folder of its own, so that the result and its job stay as they
are.
"""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lcma import db
from lcma.db import JobFacts, Measurement, PlannedJob, Store
from lcma.db.results import BOUND
from lcma.harness import data
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.plan import make_registration, plugins_of
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
from lcma.sweeps.measures import BITS_PER_DIM, TIMES, find_measure
from lcma.sweeps.recipe import MapOptions
from lcma.sweeps.spec import Keep

SAME_BITS = ("torch", "device", "cpu_capability", "driver", "threads")
"""What of an environment must be the same where equal bits are due."""

ENVIRONMENT = ("code_version", "dirty", *SAME_BITS)
"""What of an environment is compared."""

ROW = ("dataset", "variant", "recipe_id", "factorization", "budget", "map_options", "data_digest")
"""Columns of `results` that results have in common which differ by their seeds alone."""

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Comparison:
    """A measurement as it is stored, and as the second training gives it."""

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
        """What it has more the second time."""
        return self.again.value - self.stored.value

    def in_bits_per_dim(self, dimensions: int) -> float:
        """Return its absolute difference in bits/dim, 0 where its unit is another."""
        if self.unit == find_measure(BITS_PER_DIM).unit:
            return abs(self.difference)
        of_image = self.unit == find_measure("log_det").unit
        return abs(self.difference) / (dimensions * math.log(2)) if of_image else 0.0


@dataclass(frozen=True)
class Reproduction:
    """A trial and its second training, on ``device`` with so many ``threads``.

    ``largest`` differs most in bits/dim, by ``largest_difference``; ``tolerance`` is what counts as
    good where few seeds are stored. ``uncompared`` are measures that only one of the two has,
    ``other_seeds`` the bits/dim of the row's other seeds. ``made`` and ``made_again`` are the
    environments of both trainings, by the names of `ENVIRONMENT`; ``maps_made`` and
    ``maps_made_again`` those of the maps that they read, empty where there are none.
    ``other_tables`` are the splits whose index tables differ: another model was trained then.
    """

    trial: JobFacts
    comparisons: tuple[Comparison, ...]
    uncompared: tuple[str, ...]
    largest: Comparison
    largest_difference: float
    tolerance: float
    device: str
    threads: int
    other_seeds: tuple[float, ...]
    made: Mapping[str, Any]
    made_again: Mapping[str, Any]
    maps_made: Mapping[str, Any]
    maps_made_again: Mapping[str, Any]
    other_tables: tuple[int, ...]

    @property
    def equal(self) -> bool:
        """True if all measures came out equal to the last bit, except times."""
        return all(one.equal for one in self.comparisons)

    @property
    def bits_per_dim(self) -> Comparison:
        """Bits/dim of the test part."""
        return next(one for one in self.comparisons if one.name == BITS_PER_DIM)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the row's other seeds; None where they are too few."""
        return statistics.stdev(self.other_seeds) if len(self.other_seeds) >= 3 else None

    @property
    def same_environment(self) -> bool:
        """True if equal bits are due."""
        pairs = (self.made, self.made_again), (self.maps_made, self.maps_made_again)
        return all(then.get(name) == now.get(name) for then, now in pairs for name in SAME_BITS)

    @property
    def outcome(self) -> str:
        """What came out, in the words of `lcma reproduce`."""
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
    def good(self) -> bool:
        """True if it came out as well as can be asked for in this environment."""
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
        tolerance: The largest difference in bits/dim that is good where too few seeds are stored.
        progress: Called with the number of training steps that are done, and of all.

    Raises:
        UserError: The trial has no result, its data or a plug-in are not here, or it cannot be
            trained again.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UserError(f"--tolerance {tolerance} makes no sense: give 0 or more bits/dim")
    one, prepared = _find_result(store, place, find_trial_id(store, start))
    trial, device = _rebuild_trial(store, one), choose_device(store, one)
    stored = _Left(store, one)
    # What is removed may belong to a worker that was killed, and has not ended yet.
    temporary = tempfile.TemporaryDirectory(prefix="lcma-reproduce-", ignore_cleanup_errors=True)
    with temporary as folder:
        own = Place(str(Path(folder, "again.db")), Path(folder, "runs"), place.data)
        with db.connect(own.db) as store_again:
            _train(store_again, own, trial, prepared, device, progress)
            again = _Left(store_again, one)
    # A bound of other draws, which `lcma measure` may have left, is another measure.
    draws = [left.measures.get("bound_draws") for left in (stored, again)]
    apart = {*TIMES, *(BOUND if draws[0] != draws[1] else ())}
    names = sorted((stored.measures.keys() & again.measures.keys()) - apart)
    comparisons = tuple(Comparison(stored.measures[n], again.measures[n]) for n in names)
    dimensions = math.prod(prepared.manifest.shape)
    largest = max(comparisons, key=lambda one: one.in_bits_per_dim(dimensions))
    row = {name: getattr(one, name) for name in ROW}
    beside = store.view("results", **row, protocol=PLAIN.name)
    return Reproduction(
        trial=one,
        comparisons=comparisons,
        uncompared=tuple(
            sorted((stored.measures.keys() | again.measures.keys()) - {*names, *TIMES})
        ),
        largest=largest,
        largest_difference=largest.in_bits_per_dim(dimensions),
        tolerance=tolerance,
        device=device,
        threads=trial.recipe.optimization.threads,
        other_seeds=tuple(beside.bits_per_dim[beside.seed != one.seed]),
        made=stored.made,
        made_again=again.made,
        maps_made=stored.maps_made,
        maps_made_again=again.maps_made,
        other_tables=tuple(
            k for k in sorted(stored.tables) if stored.tables[k] != again.tables.get(k)
        ),
    )


class _Left:
    """What a training left in a database: measures by name, the environments in which it and its
    maps were made, and the digest of each index table by its split."""

    def __init__(self, store: Store, one: JobFacts) -> None:
        result = store.result(one.subject, one.data_digest, PLAIN.name)
        assert result is not None
        self.measures = {measure.name: measure for measure in result.measures}
        self.made, self.maps_made = _read_environment(store, one.job_id), dict[str, Any]()
        if one.pretraining_id is not None:
            of_maps = PlannedJob.of_pretraining(
                one.pretraining_id, one.data_digest, budget=one.budget or 0
            )
            self.maps_made = _read_environment(store, of_maps.id)
        tables = db.select_view("maps", trial_id=one.subject, data_digest=one.data_digest)
        self.tables: dict[int, str] = {row.split: row.digest for row in store.rows(tables)}


def _read_environment(store: Store, job_id: str) -> dict[str, Any]:
    made = read_environment_of(store, job_id)
    return {name: made[name] for name in ENVIRONMENT if made}


def choose_reproducible(
    store: Store,
    place: Place,
    sweep_id: str | None,
    filters: Filters,
    number: int | None,
    seed: int,
) -> list[str]:
    """Return trials with a result, of a sweep or all, or a number of them at random.

    The same seed chooses the same of the same database.

    Raises:
        UserError: There are none or fewer, or one of them cannot be trained again here.
    """
    if number is not None and number < 1:
        raise UserError(f"--sample {number} makes no sense: give 1 or more trials")
    require_results(store, sweep_id, filters)
    chosen = {**filters, "protocol": PLAIN.name}
    rows = store.view("results", sweep_id=sweep_id, **chosen)
    trials = sorted(set(rows.trial_id))
    if len(trials) < (number or 1):
        have = format_count(len(trials), "trial")
        raise UserError(
            f"{store.name} has {have} with such a result: give --sample {len(trials)} or less"
            if trials
            else "there is no such result yet: `lcma status` shows what is under way"
        )
    # By hashes, so that trials that are added leave the order of the others.
    trials.sort(key=lambda trial: content_id("sample", {"seed": seed, "trial": trial}))
    trials = trials[:number]
    for trial in trials:  # before the first one trains
        one, _ = _find_result(store, place, trial)
        _rebuild_trial(store, one)
    return trials


def _find_result(store: Store, place: Place, trial_id: str) -> tuple[JobFacts, data.PreparedSet]:
    """Return a trial with a result, of several that on the data here."""
    facts = store.job_facts(trial_ids=[trial_id])
    known = [o for o in facts if store.result(o.subject, o.data_digest, PLAIN.name)]
    if not known:
        raise UserError(f"trial {trial_id} has no result yet: `lcma why {trial_id[:8]}` says why")
    name = known_sets.set_name(known[0].dataset, known[0].variant)
    here = data.load(name, place.data).manifest.digest
    one = next((one for one in known if one.data_digest == here), known[0])
    return one, load_data(place, one)


def _rebuild_trial(store: Store, one: JobFacts) -> Trial:
    """Return the trial as a sweep would plan it. Raises UserError if that is another one here."""
    options = {k: v for k, v in parse_object(one.map_options or "{}").items() if k != "rule"}
    recipe, rule, pretraining = load_recipe(store, one), one.factorization_or_kind, None
    made_with = read_environment_of(store, one.job_id).get("code_version")
    other = "" if made_with == read_code_version()[0] else f", or take lcma {made_with}"
    another = UserError(
        f"trial {one.trial_id} is another one here: name in LCMA_PLUGINS the plug-in that its "
        f"flow or rule is from, as it was{other}"
    )
    try:
        recipe = recipe.model_copy(update={"maps": MapOptions.model_validate(options)})
    except ValidationError:
        raise another from None
    if one.pretraining_id is not None:
        of = one.dataset, one.variant, rule, one.seed, one.budget or 0
        pretraining = make_pretraining(recipe, *of)
    trial = Trial(
        recipe=recipe,
        profile=one.profile,
        dataset=one.dataset,
        variant=one.variant,
        factorization=rule,
        seed=one.seed,
        budget=one.budget,
        pretraining=pretraining,
        rule=factorizations.version(rule),
    )
    here = {plugin.version for plugin in plugins.loaded()}
    if trial.id != one.trial_id or not trial.plugins <= here:
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

    def make_work(job: PlannedJob, subject: Trial | Pretraining) -> Work:
        return Work(
            job,
            subject,
            place,
            owner="reproduction",
            device=device,
            gpus=1.0 if device == "cuda" else 0.0,
            plugins=plugins.loaded(plugins_of(trial)),
            keep=Keep(weights=False),
        )

    digest = prepared.manifest.digest
    job = PlannedJob.of_trial(trial.id, digest, steps=trial.recipe.training.steps)
    works = [make_work(job, trial)]
    if trial.pretraining is not None and trial.budget is not None:
        job = PlannedJob.of_pretraining(trial.pretraining.id, digest, budget=trial.budget)
        works.insert(0, make_work(job, trial.pretraining))
    store.register(make_registration([trial], [prepared], [work.job for work in works]))
    left, total = list(works), sum(work.job.steps for work in works)
    executor = LocalExecutor(1, per_gpu=1 if device == "cuda" else None)
    try:
        executor.submit(left[:1])
        while left:
            for finished in executor.wait(POLL_SECONDS):
                report = finished.report
                if report is None or report.ending != "done":
                    lines = (finished.crash if report is None else report.message).strip()
                    ending = "crashed" if report is None else report.ending
                    why = (lines.splitlines() or [ending])[-1]
                    raise UserError(
                        f"trial {trial.id} could not be trained again ({ending}): {why}"
                    )
                if left := left[1:]:
                    executor.submit(left[:1])
            jobs = store.jobs([work.job_id for work in works])
            progress(sum(job.step for job in jobs.values()), total)
    finally:
        executor.close(kill=True)
