"""Measures of the weights that a trial left, without training."""

import socket
from collections.abc import Callable
from typing import Literal

import torch

from lcma import db
from lcma.db import JobFacts, Store
from lcma.harness.data.verification import verify_once
from lcma.harness.environment import read_environment
from lcma.harness.measure import weights
from lcma.harness.measure.measure import Measure, NotTakenError, TrainedFlow, take_measures
from lcma.harness.place import Place
from lcma.harness.train.devices import Stopwatch, configure_device
from lcma.harness.train.protocol import PLAIN
from lcma.sweeps.errors import UserError


def choose_device(store: Store, one: JobFacts) -> Literal["cpu", "cuda"]:
    """Return the training's kind of device, if there is one here: other kinds give other bits."""
    return "cuda" if was_on_gpu(store, one) and torch.cuda.is_available() else "cpu"


def was_on_gpu(store: Store, one: JobFacts) -> bool:
    """Return whether a trial was trained on a GPU."""
    trained = store.attempts(ids=[one.done_attempt_id or ""])
    return any(attempt.device.startswith("cuda") for attempt in trained)


def find_measured(store: Store, one: JobFacts, measure: Measure) -> db.Result | None:
    """Return the result that has a measure of a trial; None where there is none."""
    stored = store.result(one.subject, one.data_digest, measure.protocol)
    return stored if stored is not None and measure.is_in(stored) else None


def require_measurable(store: Store, place: Place, one: JobFacts, measure: Measure) -> None:
    """Raise UserError where a trial's weights or images are missing, or the measure's images too
    few or too small."""
    weights.require_weights(store, place, one)
    measure.require_images(weights.load_data(place, one))


def measure_trial(
    store: Store,
    place: Place,
    one: JobFacts,
    measure: Measure,
    *,
    owner: str,
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> None:
    """Take a measure of a trial's kept weights, and store it with the trial's other measures.

    ``progress`` is called with the number of images since the last call, and of all.

    Raises UserError if weights or images are missing, damaged or not those of the trial, if the
    measure fails, and if meanwhile another value was stored or the trial was run again.
    """
    job = store.jobs([one.job_id]).get(one.job_id)
    of_training = store.result(one.subject, one.data_digest, PLAIN.name)
    if job is None or job.done_attempt_id is None or of_training is None:
        raise UserError(f"trial {one.trial_id} has no result yet: launch it first")
    if job.state == "running":
        raise UserError(f"trial {one.trial_id} is being rerun: try again when that has ended")
    device = choose_device(store, one)
    stopwatch, started = Stopwatch(device, gpus=1.0), store.now()
    prepared = weights.load_data(place, one)
    measure.require_images(prepared)
    verify_once(prepared)
    flow, recipe = weights.load_flow(store, place, one)
    threads, where = recipe.optimization.threads, torch.device(device)
    configure_device(device, threads)
    trained = TrainedFlow(flow.to(where), recipe.model, prepared, one.seed, where)
    try:
        taken = take_measures([measure], trained, progress=progress)
    except NotTakenError as error:
        raise UserError(
            f"the measure {measure.name} cannot be taken of trial {one.trial_id}: {error}"
        ) from None
    settings = measure.find_settings(recipe.model)
    result = db.Result(
        trial_id=one.subject,
        data_digest=one.data_digest,
        step=of_training.step,
        protocol=settings.name,
        protocol_body=settings.body,
        precision=settings.precision,
        measures=tuple(taken),
    )
    by = db.Evaluator(
        owner=owner,
        host=socket.gethostname(),
        environment_id=store.add_environment(read_environment(device)),
        device=device,
        threads=threads,
        started=started,
    )
    try:
        store.add_evaluation(
            one.job_id, result, attempt_id=job.done_attempt_id, by=by, cost=stopwatch.cost()
        )
    except db.Conflict as error:  # another process was first
        raise UserError(f"{error}; what is stored stays") from error
