"""Measures of kept weights of trained trials, without training."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import torch

from lcma import db
from lcma.db import JobFacts, Store
from lcma.db.results import require_same_measures
from lcma.db.schema import protocols
from lcma.harness.data import Prepared
from lcma.harness.data.verified import verify_once
from lcma.harness.launch.driver import new_owner
from lcma.harness.launch.workers import Stage, Workers
from lcma.harness.measure.evaluation import Stopwatch, settle_device, take_plugin_measures
from lcma.harness.measure.sample_quality import Judge, make_judge, measure_samples
from lcma.harness.place import Place
from lcma.harness.results.board import read_beside_samples
from lcma.harness.results.trials import describe_trial
from lcma.harness.storage.folder import UnreachableError
from lcma.harness.text import format_count, printable
from lcma.harness.train.features import INCEPTION, LITE0, load_inception, load_lite0
from lcma.harness.train.protocol import PLAIN, Name
from lcma.harness.train.samples import SAMPLES, SampleProtocol, Sampling
from lcma.harness.work import weights
from lcma.harness.work.reevaluation import (
    Reevaluated,
    choose_device,
    find_evaluation,
    make_evaluator,
    read_attempt,
    reevaluate,
    store_evaluation,
    was_on_gpu,
)
from lcma.models import Flow
from lcma.sweeps import known_sets, plugins
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    FID,
    KID,
    OF_SAMPLES,
    SWD,
    PluginMeasure,
    list_measures,
    plugin_measures,
)
from lcma.sweeps.plugins import Plugin
from lcma.sweeps.spec import Resources

DEFAULT_SAMPLES = {SWD: SAMPLES, KID: 2000, FID: 5000}
"""Samples that are drawn unless a person says how many. Those of `swd` are as with every trial:
more do not tell rules apart any better, while those of `kid` do (docs/measures.md)."""

ReportFunction = Callable[[str, int, int], None]
"""Called with what is counted, and how many of how many are done."""


@dataclass(frozen=True)
class LikelihoodMeasurement:
    """Likelihood of kept weights by a protocol, with a bound of ``draws`` where they are given."""

    protocol: Name
    draws: int | None


@dataclass(frozen=True)
class KeptMeasure:
    """Measure that is to be made of kept weights.

    Attributes:
        judge: The measure of samples, or the plug-in's.
        protocol: How samples are drawn; the usual one for a measure of a plug-in.
    """

    judge: Judge | PluginMeasure
    protocol: SampleProtocol

    def require_images(self, prepared: Prepared) -> None:
        """Raise UserError where a set's images are too few or too small for it."""
        if isinstance(self.judge, Judge):
            self.judge.require_images(prepared, self.protocol.sampling)

    def take(
        self, flow: Flow, prepared: Prepared, one: JobFacts, device: torch.device
    ) -> tuple[db.Measurement, ...]:
        """Return the measures of a trial's flow. Raises UserError where a plug-in's fails."""
        seed = one.seed
        if isinstance(self.judge, Judge):
            sampling = self.protocol.sampling
            return measure_samples(flow, prepared, self.judge, sampling, seed=seed, device=device)

        def refuse(name: str, why: str) -> None:
            raise UserError(f"the measure {name} cannot be taken of trial {one.trial_id}: {why}")

        taken = take_plugin_measures(
            [self.judge], flow, prepared, seed=seed, device=device, on_failure=refuse
        )
        return tuple(taken)


def make_measurement(name: str, **options: Any) -> KeptMeasure | LikelihoodMeasurement:
    """Return a measure as a person asks for it: of samples, or of a plug-in that is loaded.

    Args:
        name: `bits_per_dim`, `swd`, `kid` or `fid`, or the name of a plug-in's measure.
        options: Those of `LikelihoodMeasurement` or of `_make_of_samples`; a plug-in's measure
            has none.

    Raises:
        UserError: There is none of that name, these do not go together, or what is needed is not
            there.
    """
    if name == BITS_PER_DIM:
        return LikelihoodMeasurement(**options)
    own = {one.name: one for one in plugin_measures()}
    if name in own:
        given = [word for word, value in options.items() if value not in (None, 1.0)]
        if given:
            option = {"weights_file": "weights"}.get(given[0], given[0])
            raise UserError(
                f"{name} is a plug-in's measure, which draws its samples itself: "
                f"leave --{option} out"
            )
        return KeptMeasure(own[name], SampleProtocol())
    if name not in OF_SAMPLES:
        hint = suggest(name, (*OF_SAMPLES, BITS_PER_DIM, *own), "choose among")
        if not own:
            hint += ", or load the plug-in that has it with LCMA_PLUGINS=FILE"
        raise UserError(f"'{printable(name)}' is not measured of kept weights: {hint}")
    return _make_of_samples(name, **options)


@lru_cache(maxsize=1)
def _make_of_samples(
    name: str,
    *,
    samples: int | None = None,
    temperature: float = 1.0,
    extractor: str | None = None,
    weights_file: Path | None = None,
    sha256: str | None = None,
) -> KeptMeasure:
    """Return a measure of samples.

    Args:
        name: `swd`, `kid` or `fid`.
        samples: Number of samples; None for `DEFAULT_SAMPLES`.
        temperature: Factor of the noise of every prior.
        extractor: What sees features: None for EfficientNet-Lite0, and for `fid` Inception-v3.
        weights_file: A person's own weights of Inception-v3.
        sha256: The hash that they must have.

    Raises:
        UserError: These do not go together, or what is needed is not there.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UserError(f"--temperature {temperature} makes no sense: give 0 or more, such as 1.0")
    count = DEFAULT_SAMPLES[name] if samples is None else samples
    sampling = Sampling(samples=count, temperature=temperature)
    if name == SWD:
        if extractor or weights_file or sha256:
            raise UserError(
                f"{SWD} has no extractor: leave --extractor, --weights and --sha256 out"
            )
        protocol = SampleProtocol(sampling=sampling)
        return KeptMeasure(make_judge(name, protocol), protocol)
    chosen = extractor or (INCEPTION if name == FID else LITE0.name)
    if name == FID and chosen != INCEPTION:
        raise UserError(f"{FID} is of {INCEPTION} alone: take {KID}, or leave --extractor out")
    if chosen == INCEPTION:
        if weights_file is None or sha256 is None:
            raise UserError(
                f"{name} by {INCEPTION} needs your own file of its weights: give --weights FILE "
                "and --sha256 HASH"
            )
        features = load_inception(weights_file, sha256)
    elif weights_file or sha256:
        raise UserError(f"--weights and --sha256 are of --extractor {INCEPTION}: add that")
    else:
        features = load_lite0()
    protocol = SampleProtocol(sampling=sampling, extractor=features.extractor)
    return KeptMeasure(make_judge(name, protocol, features), protocol)


def find_measurable(
    store: Store,
    place: Place,
    trials: Sequence[JobFacts],
    measurement: KeptMeasure | LikelihoodMeasurement,
) -> tuple[list[JobFacts], list[str]]:
    """Return the trials that have the measure or can be measured, and a line on each other reason.

    Raises UserError if none can.
    """
    able = []
    reasons = defaultdict[tuple[str, bool], list[str]](list)
    for one in trials:
        lacking = "weights"
        try:
            if _find_stored(store, one, measurement) is None:
                weights.require_weights(store, place, one)
                lacking = "data"
                prepared = weights.load_data(place, one)
                lacking = "images"
                if isinstance(measurement, KeptMeasure):
                    measurement.require_images(prepared)
        except UserError as error:
            _raise_unless_of_trial(error)
            reasons[lacking, one.weights].append(str(error))
        else:
            able.append(one)
    lines = [_describe_failures(why, trials) for why in reasons.values()]
    if not able:
        raise UserError("; ".join(lines))
    return able, lines


def _describe_failures(reasons: Sequence[str], trials: Sequence[JobFacts]) -> str:
    """Return a line on those of some trials that cannot be measured; of one the reason alone."""
    if len(trials) == 1:
        return reasons[0]
    count, since = format_count(len(trials), "trial"), ", the first since" if reasons[1:] else ":"
    return f"{len(reasons)} of {count} cannot be measured{since} {reasons[0]}"


def list_other_samples(
    store: Store, measurement: KeptMeasure | LikelihoodMeasurement, digests: set[str]
) -> list[int]:
    """Return by which other numbers of samples results on these data have the same measure.

    Their tables stand apart from those of this measurement.
    """
    if isinstance(measurement, LikelihoodMeasurement) or not isinstance(measurement.judge, Judge):
        return []
    own = measurement.protocol
    bodies = dict(store.rows(sa.select(protocols.c.name, protocols.c.body)))
    found = set()
    for _, digest, name in read_beside_samples(store, measurement.judge.name):
        if digest in digests and name != own.name:
            plain = name == PLAIN.name
            other = SampleProtocol() if plain else SampleProtocol.model_validate_json(bodies[name])
            count = other.sampling.samples
            alike = own.sampling.model_copy(update={"samples": count})
            if other == own.model_copy(update={"sampling": alike}):
                found.add(count)
    return sorted(found)


def _find_stored(
    store: Store, one: JobFacts, measurement: KeptMeasure | LikelihoodMeasurement
) -> db.Result | None:
    """Return a result that has the measure, None where there is none."""
    if isinstance(measurement, LikelihoodMeasurement):
        return find_evaluation(store, one, measurement.protocol, measurement.draws)
    stored = store.result(one.subject, one.data_digest, measurement.protocol.name)
    return None if stored is None or stored.measure(measurement.judge.name) is None else stored


def measure_trial(
    store: Store,
    place: Place,
    one: JobFacts,
    measurement: KeptMeasure | LikelihoodMeasurement,
    *,
    owner: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reevaluated:
    """Take a measure of a trial's kept weights, and store it.

    What is stored is returned as it is. Raises UserError if weights or images are missing, damaged
    or not those of the trial, if the images cannot be measured so, and if another value was stored
    meanwhile.
    """
    if isinstance(measurement, LikelihoodMeasurement):
        name, draws = measurement.protocol, measurement.draws
        return reevaluate(store, place, one, name, owner=owner, draws=draws, progress=progress)
    protocol = measurement.protocol
    stored = _find_stored(store, one, measurement)
    if stored is not None:
        return Reevaluated(one, stored, new=False)
    attempt_id = read_attempt(store, one)
    of_training = store.result(one.subject, one.data_digest, PLAIN.name)
    if of_training is None:
        raise UserError(f"trial {one.trial_id} has no result yet: launch it first")
    device = choose_device(store, one)
    stopwatch, started = Stopwatch(device, gpus=1.0), store.now()
    prepared = weights.load_data(place, one)
    measurement.require_images(prepared)
    verify_once(prepared)
    flow, recipe = weights.load_trained(store, place, one)
    settle_device(device, recipe.optimization.threads)
    measures = measurement.take(flow.to(device), prepared, one, torch.device(device))
    there = store.result(one.subject, one.data_digest, protocol.name)
    result = db.Result(
        trial_id=one.subject,
        data_digest=one.data_digest,
        step=of_training.step,
        protocol=protocol.name,
        protocol_body=protocol.body,
        precision="float32",
        measures=tuple(m for m in measures if there is None or there.measure(m.name) is None),
    )
    by = make_evaluator(store, owner, device, recipe.optimization.threads, started)
    return store_evaluation(store, one, result, attempt_id, by, stopwatch)


def measure_trials(
    store: Store,
    place: Place,
    trials: Sequence[JobFacts],
    measurement: KeptMeasure | LikelihoodMeasurement,
    report: ReportFunction = lambda what, done, total: None,
) -> tuple[list[Reevaluated], list[str]]:
    """Take a measure of trials in this process, one after the other, as `measure_trial`.

    One that fails keeps none of the others from being measured.

    Returns:
        What was found, and a line where trials failed. Raises UserError if all did.
    """
    owner, found, failures = new_owner(), list[Reevaluated](), list[str]()
    for done, one in enumerate(trials):
        if isinstance(measurement, KeptMeasure):
            report(f"measuring {measurement.judge.name}, trials", done, len(trials))
        images = f"trial {done + 1} of {len(trials)} ({describe_trial(one)}), images"
        progress = partial(report, images)
        try:
            found.append(
                measure_trial(store, place, one, measurement, owner=owner, progress=progress)
            )
        except UserError as error:
            _raise_unless_of_trial(error)
            failures.append(str(error))
    return found, _require_some(found, failures, trials)


def _require_some(
    found: Sequence[Reevaluated], failures: Sequence[str], trials: Sequence[JobFacts]
) -> list[str]:
    """Return a line where trials failed. Raises UserError with it if all did."""
    lines = [_describe_failures(failures, trials)] if failures else []
    if lines and not found:
        raise UserError(lines[0])
    return lines


def measure_on_cluster(
    store: Store,
    place: Place,
    trials: Sequence[JobFacts],
    name: str,
    options: dict[str, Any],
    *,
    ray: str,
    gpus: float | None = None,
    any_code: bool = False,
    stage: Stage,
    report: ReportFunction = lambda what, done, total: None,
) -> tuple[list[Reevaluated], list[str]]:
    """Take a measure of trials on the nodes of a Ray cluster, a task for each, as `measure_trial`.

    A node that lacks what is needed gets no task. A task that is lost runs elsewhere: it stores its
    measure at its end, and what is there already is served.

    Args:
        store: The database.
        place: Where it, the weights and the data are, for all nodes.
        trials: What is measured, in the order of what is returned.
        name: The measure.
        options: Those of `make_measurement`.
        ray: The address of the cluster's head, or `auto`.
        gpus: GPUs of a task (0 to 1), by default one if a trial was trained on one.
        any_code: Let nodes with other code than here measure too.
        stage: Shows what is being done before the first task.
        report: Called when a trial has been measured.

    Returns:
        As `measure_trials`.

    Raises:
        UserError: No node can measure them, or none of them can be measured.
        ClusterLostError: The cluster is gone; what was measured is stored.
        LaunchInterrupted: A signal ended it; what was measured is stored.
    """
    measurement = make_measurement(name, **options)
    failed = dict[str, str]()
    left = [one for one in trials if _find_stored(store, one, measurement) is None]
    if left:
        sets = {known_sets.set_name(one.dataset, one.variant): one.data_digest for one in left}
        recipes = [weights.load_recipe(store, one) for one in left]
        threads = max(one.optimization.threads for one in recipes)
        if gpus is None:
            gpus = float(any(was_on_gpu(store, one) for one in left))
        resources = Resources(gpus=gpus)
        with Workers(resources, threads, stage, local=False, ray=ray, any_code=any_code) as workers:
            workers.require(place, sets)
            calls = [
                (
                    f"measure {name} of trial {one.trial_id}",
                    (place, one, plugins.loaded(), name, options, workers.owner),
                )
                for one in left
            ]
            answers = workers.run_each(_measure_on_node, calls)
            for done, (job, reason) in enumerate(answers, start=1):
                report(f"measuring {name}, trials", done, len(left))
                if reason is not None:
                    failed[job] = reason
    able = [one for one in trials if one.job_id not in failed]
    served, lines = measure_trials(store, place, able, measurement) if able else ([], [])
    lines += _require_some(served, list(failed.values()), trials)
    new = {one.job_id for one in left}
    return [replace(one, new=one.trial.job_id in new) for one in served], lines


def _measure_on_node(
    place: Place,
    one: JobFacts,
    wanted: Sequence[Plugin],
    name: str,
    options: dict[str, Any],
    owner: str,
) -> tuple[str, str | None]:
    """Measure a trial; return its job, and why it cannot be measured."""
    plugins.load(wanted)
    measurement = make_measurement(name, **options)
    with db.connect(place.db, create=False) as store:
        require_same_measures(store.measure_kinds(), list_measures())
        try:
            measure_trial(store, place, one, measurement, owner=owner)
        except UserError as error:
            _raise_unless_of_trial(error)
            return one.job_id, str(error)
        return one.job_id, None


def _raise_unless_of_trial(error: UserError) -> None:
    """Raise an error that the other trials would have too: the database or the storage is away."""
    if isinstance(error, (db.Unavailable, UnreachableError)):
        raise error
