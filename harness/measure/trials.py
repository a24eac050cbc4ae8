"""Measures of finished trials, taken from the weights that they left."""

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


def choose_device(store: Store, trial: JobFacts) -> Literal["cpu", "cuda"]:
    """Return the kind of device of the training if this host has it: bits depend on the kind."""
    return "cuda" if was_on_gpu(store, trial) and torch.cuda.is_available() else "cpu"


def was_on_gpu(store: Store, trial: JobFacts) -> bool:
    """Return whether a trial was trained on a GPU."""
    attempts = store.attempts(ids=[trial.done_attempt_id or ""])
    return any(attempt.device.startswith("cuda") for attempt in attempts)


def find_measured(store: Store, trial: JobFacts, measure: Measure) -> db.Result | None:
    """Return the result of a trial that has a measure; None if there is none."""
    stored = store.result(trial.subject, trial.data_digest, measure.protocol)
    return stored if stored is not None and measure.is_stored_in(stored) else None


def require_measurable(store: Store, place: Place, trial: JobFacts, measure: Measure) -> None:
    """Raise UserError if weights or images are missing, or the images too few or too small."""
    weights.require_weights(store, place, trial)
    measure.require_images(weights.load_data(place, trial))


def measure_trial(
    store: Store,
    place: Place,
    trial: JobFacts,
    measure: Measure,
    *,
    owner: str,
    gpus: float = 1.0,
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> None:
    """Take a measure of a trial's kept weights, and store it with the trial's other measures.

    ``gpus`` is the share of a GPU that it holds, if any. ``progress`` is called with the number of
    images since the last call, and of all.

    Raises UserError if weights or images are missing, damaged or not those of the trial, if the
    measure fails, and if meanwhile another value was stored or the trial was run again.
    """
    job = store.jobs([trial.job_id]).get(trial.job_id)
    training_result = store.result(trial.subject, trial.data_digest, PLAIN.name)
    if job is None or job.done_attempt_id is None or training_result is None:
        raise UserError(f"trial {trial.trial_id} has no result yet: launch it first")
    if job.state == "running":
        raise UserError(f"trial {trial.trial_id} is being rerun: try again when that has ended")
    device = choose_device(store, trial) if gpus else "cpu"
    stopwatch, started = Stopwatch(device, gpus), store.now()
    prepared = weights.load_data(place, trial)
    measure.require_images(prepared)
    verify_once(prepared)
    flow, recipe = weights.load_flow(store, place, trial)
    threads, torch_device = recipe.optimization.threads, torch.device(device)
    configure_device(device, threads)
    flow.to(torch_device)
    trained = TrainedFlow(flow, recipe.model, prepared, trial.seed, torch_device)
    try:
        measurements = take_measures([measure], trained, progress=progress)
    except NotTakenError as error:
        raise UserError(
            f"the measure {measure.name} cannot be taken of trial {trial.trial_id}: {error}"
        ) from None
    protocol = measure.find_protocol(recipe.model)
    result = db.Result(
        trial_id=trial.subject,
        data_digest=trial.data_digest,
        step=training_result.step,
        protocol=protocol.name,
        protocol_body=protocol.body,
        precision=protocol.precision,
        measures=tuple(measurements),
    )
    evaluator = db.Evaluator(
        owner=owner,
        host=socket.gethostname(),
        environment_id=store.add_environment(read_environment(device)),
        device=device,
        threads=threads,
        started=started,
    )
    try:
        store.add_evaluation(
            trial.job_id,
            result,
            attempt_id=job.done_attempt_id,
            by=evaluator,
            cost=stopwatch.cost(),
        )
    except db.Conflict as error:  # another process was first
        raise UserError(f"{error}; what is stored stays") from error
