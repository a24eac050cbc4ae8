"""Verification of a result: its trial is trained again, and all measures are compared.

It is trained from scratch and with its pretraining, in a database and a folder of its own, so that
the result and its job stay as they are.
"""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from lcma import db
from lcma.db import JobFacts, Measurement, PlannedJob, Store
from lcma.db.results import BOUND
from lcma.harness import data
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.plan import make_registration, plugins_of
from lcma.harness.measure.kept import choose_device
from lcma.harness.measure.weights import load_data, load_recipe
from lcma.harness.place import Place
from lcma.harness.results.filters import Filters
from lcma.harness.results.lookup import (
    find_trial_id,
    frame_records,
    parse_object,
    read_environment_of,
    require_results,
)
from lcma.harness.text import format_count
from lcma.harness.train.devices import settle_device
from lcma.harness.train.protocol import PLAIN
from lcma.harness.version import read_code_version
from lcma.harness.work.units import Work
from lcma.sweeps import factorizations, known_sets, plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Trial, make_pretraining
from lcma.sweeps.identity import content_id
from lcma.sweeps.measures import BITS_PER_DIM, TIMES, find_measure
from lcma.sweeps.recipe import MapOptions
from lcma.sweeps.spec import Keep

ENVIRONMENT = ("code_version", "dirty", "torch", "device", "cpu_capability", "driver", "threads")
"""Columns of `results` that say with what a result was made."""

SAME_BITS = ("torch", "device", "cpu_capability", "driver", "threads")
"""Those of them that must be the same where equal bits are due."""

ROW = ("dataset", "variant", "recipe_id", "factorization", "budget", "map_options")
"""Columns of `results` that results have in common which differ by their seeds alone."""

POLL_SECONDS = 0.5

ProgressFunction = Callable[[int, int], None]
"""Called with the number of training steps that are done, and of all."""


@dataclass(frozen=True)
class Comparison:
    """A measure as it is stored, and as the second training gives it."""

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

    def in_bits_per_dim(self, dimensions: int) -> float | None:
        """Return its absolute difference in bits/dim, None where its unit is another."""
        if self.unit == find_measure(BITS_PER_DIM).unit:
            return abs(self.difference)
        if self.unit == find_measure("log_det").unit:
            return abs(self.difference) / (dimensions * math.log(2))
        return None


@dataclass(frozen=True)
class Verification:
    """How two trainings compare.

    ``equal`` says whether all measures came out equal to the last bit, except times;
    ``largest_difference`` is the largest of a measure in bits/dim, and ``tolerance`` what counts as
    good. ``device`` and ``threads`` are those of the second training.
    """

    equal: bool
    largest_difference: float
    tolerance: float
    device: str
    threads: int


@dataclass(frozen=True)
class Verified:
    """A trial and its second training.

    ``largest`` differs most in bits/dim. ``uncompared`` are measures that only one of the two has,
    ``other_seeds`` the bits/dim of the row's other seeds. ``made`` and ``made_again`` are the
    environments of both trainings, by the columns of `ENVIRONMENT`; ``maps_made`` and
    ``maps_made_again`` those of the maps that they read, empty where there are none.
    ``other_tables`` are the splits whose index tables differ: another model was trained then.
    """

    trial: JobFacts
    verification: Verification
    comparisons: tuple[Comparison, ...]
    largest: Comparison
    uncompared: tuple[str, ...]
    other_seeds: tuple[float, ...]
    made: Mapping[str, Any]
    made_again: Mapping[str, Any]
    maps_made: Mapping[str, Any]
    maps_made_again: Mapping[str, Any]
    other_tables: tuple[int, ...]

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
        found, spread = self.verification, self.spread
        if found.equal:
            return "equal to the last bit"
        if self.same_environment:
            return "not equal, though processor, PyTorch and threads are the same"
        if spread is None:
            side = "within" if found.largest_difference <= found.tolerance else "outside"
            return f"{side} the tolerance of {found.tolerance:g} bits/dim"
        side = "within" if abs(self.bits_per_dim.difference) <= 2 * spread else "outside"
        return f"{side} the spread of seeds"

    @property
    def good(self) -> bool:
        """True if it came out as well as can be asked for in this environment."""
        return self.outcome.startswith(("equal", "within"))


def verify(
    store: Store,
    place: Place,
    start: str,
    *,
    tolerance: float,
    progress: ProgressFunction = lambda done, total: None,
) -> Verified:
    """Train a trial again and compare; nothing is stored.

    Args:
        store: The database that has the result.
        place: Where the data are.
        start: The first characters of the trial's id.
        tolerance: The largest difference in bits/dim that is good where too few seeds are stored.
        progress: Called while it trains.

    Raises:
        UserError: The trial has no result, its data or a plug-in are not here, or it cannot be
            trained again.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise UserError(f"--tolerance {tolerance} makes no sense: give 0 or more bits/dim")
    one, row, prepared = _find_result(store, place, find_trial_id(store, start))
    stored = store.result(one.subject, one.data_digest, PLAIN.name)
    assert stored is not None
    trial, device = _rebuild_trial(store, one, row), choose_device(store, one)
    # What is removed may belong to a worker that was killed, and has not ended yet.
    temporary = tempfile.TemporaryDirectory(prefix="lcma-reproduce-", ignore_cleanup_errors=True)
    with temporary as folder:
        own = Place(str(Path(folder, "verify.db")), Path(folder, "runs"), place.data)
        with db.connect(own.db) as again:
            _train(again, own, trial, prepared, device, progress)
            result = again.result(one.subject, one.data_digest, PLAIN.name)
            (row_again,) = frame_records(again.view("results", protocol=PLAIN.name))
            tables_again, maps_made_again = _read_tables(again, one), _read_maps_made(again, one)
    tables = _read_tables(store, one)
    assert result is not None
    comparisons, uncompared = _compare(stored, result)
    dimensions = math.prod(prepared.manifest.shape)
    in_bits = {one: one.in_bits_per_dim(dimensions) or 0.0 for one in comparisons}
    largest = max(in_bits, key=in_bits.__getitem__)
    alike = {name: row[name] for name in ROW}
    alike |= {"protocol": PLAIN.name, "data_digest": one.data_digest}
    beside = store.view("results", **alike)
    threads = trial.recipe.optimization.threads
    settle_device(device, threads)
    verification = Verification(
        equal=all(one.equal for one in comparisons),
        largest_difference=in_bits[largest],
        tolerance=tolerance,
        device=device,
        threads=threads,
    )
    return Verified(
        trial=one,
        verification=verification,
        comparisons=comparisons,
        largest=largest,
        uncompared=uncompared,
        other_seeds=tuple(beside.bits_per_dim[beside.seed != one.seed]),
        made={name: row[name] for name in ENVIRONMENT},
        made_again={name: row_again[name] for name in ENVIRONMENT},
        maps_made=_read_maps_made(store, one),
        maps_made_again=maps_made_again,
        other_tables=tuple(k for k in sorted(tables) if tables[k] != tables_again.get(k)),
    )


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
        one, row, _ = _find_result(store, place, trial)
        _rebuild_trial(store, one, row)
    return trials


def _find_result(
    store: Store, place: Place, trial_id: str
) -> tuple[JobFacts, dict[str, Any], data.Prepared]:
    """Return the trial's result by the protocol of trainings, of several that on the data here."""
    rows = frame_records(store.view("results", trial_id=trial_id, protocol=PLAIN.name))
    if not rows:
        raise UserError(f"trial {trial_id} has no result yet: `lcma why {trial_id[:8]}` says why")
    by_digest = {row["data_digest"]: row for row in rows}
    trials = [o for o in store.job_facts(trial_ids=[trial_id]) if o.data_digest in by_digest]
    known = known_sets.set_name(trials[0].dataset, trials[0].variant)
    here = data.load(known, place.data).manifest.digest
    one = next((o for o in trials if o.data_digest == here), trials[0])
    return one, by_digest[one.data_digest], load_data(place, one)


def _read_tables(store: Store, one: JobFacts) -> dict[int, str]:
    """Return the digest of each index table by its split."""
    frame = store.view("maps", trial_id=one.subject, data_digest=one.data_digest)
    return {int(row["split"]): str(row["digest"]) for row in frame_records(frame)}


def _read_maps_made(store: Store, one: JobFacts) -> dict[str, Any]:
    """Return the environment in which the maps of a trial were made; empty where it has none."""
    if one.pretraining_id is None:
        return {}
    job = PlannedJob.of_pretraining(one.pretraining_id, one.data_digest, budget=one.budget or 0)
    made = read_environment_of(store, job.id)
    return {name: made[name] for name in ENVIRONMENT if made}


def _rebuild_trial(store: Store, one: JobFacts, row: Mapping[str, Any]) -> Trial:
    """Return the trial as a sweep would plan it. Raises UserError if that is another one here."""
    options = {k: v for k, v in parse_object(row["map_options"] or "{}").items() if k != "rule"}
    recipe = load_recipe(store, one)
    pretraining = None
    try:
        recipe = recipe.model_copy(update={"maps": MapOptions.model_validate(options)})
    except ValidationError:
        raise _other_trial_error(one, row) from None
    if one.pretraining_id is not None:
        pretraining = make_pretraining(
            recipe,
            one.dataset,
            one.variant,
            one.factorization_or_kind,
            one.seed,
            one.budget or 0,
        )
    trial = Trial(
        recipe=recipe,
        profile=row["profile"],
        dataset=one.dataset,
        variant=one.variant,
        factorization=one.factorization_or_kind,
        seed=one.seed,
        budget=one.budget,
        pretraining=pretraining,
        rule=factorizations.version(one.factorization_or_kind),
    )
    here = {plugin.version for plugin in plugins.loaded()}
    if trial.id != one.trial_id or not trial.plugins <= here:
        raise _other_trial_error(one, row)
    return trial


def _other_trial_error(one: JobFacts, row: Mapping[str, Any]) -> UserError:
    made_with = row["code_version"]
    other = "" if made_with == read_code_version()[0] else f", or take lcma {made_with}"
    return UserError(
        f"trial {one.trial_id} is another one here: name in LCMA_PLUGINS the plug-in that its "
        f"flow or rule is from, as it was{other}"
    )


def _train(
    store: Store,
    place: Place,
    trial: Trial,
    prepared: data.Prepared,
    device: Literal["cpu", "cuda"],
    progress: ProgressFunction,
) -> None:
    works = _make_works(place, trial, prepared.manifest.digest, device)
    store.register(make_registration([trial], [prepared], [work.job for work in works]))
    left, total = [work.job_id for work in works], sum(work.job.steps for work in works)
    executor = LocalExecutor(1, per_gpu=1 if device == "cuda" else None)
    try:
        executor.submit(works[:1], None)
        for before, work in pairwise(works):
            executor.submit([work], before.job_id)
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
                left.remove(finished.job_id)
            jobs = store.jobs([work.job_id for work in works])
            progress(sum(job.step for job in jobs.values()), total)
    finally:
        executor.close(kill=True)


def _make_works(
    place: Place, trial: Trial, digest: str, device: Literal["cpu", "cuda"]
) -> list[Work]:
    """Return the work of the pretraining, if there is one, and of the trial."""

    def make(job: PlannedJob, **subject: Any) -> Work:
        return Work(
            job,
            place,
            owner="verification",
            device=device,
            gpus=1.0 if device == "cuda" else 0.0,
            plugins=plugins.loaded(plugins_of(trial)),
            keep=Keep(weights=False),
            **subject,
        )

    works = []
    if trial.pretraining is not None and trial.budget is not None:
        job = PlannedJob.of_pretraining(trial.pretraining.id, digest, budget=trial.budget)
        works.append(make(job, pretraining=trial.pretraining))
    job = PlannedJob.of_trial(trial.id, digest, steps=trial.recipe.training.steps)
    return [*works, make(job, trial=trial)]


def _compare(stored: db.Result, again: db.Result) -> tuple[tuple[Comparison, ...], tuple[str, ...]]:
    """Compare the measures that both have, and name the others.

    A bound of other draws, which `lcma measure` may have left, is another measure.
    """
    draws = [result.measure("bound_draws") for result in (stored, again)]
    apart = {*TIMES, *(BOUND if draws[0] != draws[1] else ())}
    both: list[Comparison] = []
    names: Sequence[str] = sorted({one.name for one in (*stored.measures, *again.measures)})
    for name in names:
        pair = stored.measure(name), again.measure(name)
        if name not in apart and pair[0] is not None and pair[1] is not None:
            both.append(Comparison(pair[0], pair[1]))
    compared = {one.name for one in both}
    return tuple(both), tuple(name for name in names if name not in compared | {*TIMES})
