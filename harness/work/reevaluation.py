"""Evaluation of a trial's kept weights by another protocol, without training."""

import math
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch

from lcma import db
from lcma.db import JobFacts, Store
from lcma.db.results import bound_extent
from lcma.harness import data
from lcma.harness.data.verified import verify_once
from lcma.harness.environment import read_environment
from lcma.harness.measure.evaluation import (
    Stopwatch,
    bound_measures,
    count_beside_images,
    count_part_images,
    make_result,
    measure_beside,
    measure_flow,
    series_measures,
    settle_device,
)
from lcma.harness.place import Place
from lcma.harness.train.evaluate import BOUND_IMAGES
from lcma.harness.train.protocol import Name, Protocol, find_protocol
from lcma.harness.work import weights
from lcma.models import Flow
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

ProgressFunction = Callable[[int, int], None]
"""Called with the number of images that have been evaluated, and of all."""


@dataclass(frozen=True)
class Reevaluated:
    """A trial's result by a protocol; ``new`` if anything of it was not stored before."""

    trial: JobFacts
    result: db.Result
    new: bool


def reevaluate(
    store: Store,
    place: Place,
    one: JobFacts,
    name: Name,
    *,
    owner: str,
    draws: int | None = None,
    progress: ProgressFunction = lambda done, total: None,
) -> Reevaluated:
    """Evaluate a trial's kept weights by a protocol, and store the result.

    A stored result is returned as it is. ``draws`` requests a bound of that many draws. Raises
    UserError if weights or images are missing, damaged or not those of the trial, if the numbers
    are not finite, and if another result was stored meanwhile.
    """
    stored = find_evaluation(store, one, name, draws)
    if stored is not None:
        return Reevaluated(one, stored, new=False)
    stored = store.result(one.subject, one.data_digest, name)
    attempt_id = read_attempt(store, one)
    device = choose_device(store, one)
    stopwatch, started = Stopwatch(device, gpus=1.0), store.now()
    prepared = weights.load_data(place, one)
    verify_once(prepared)
    flow, recipe = weights.load_trained(store, place, one)
    settle_device(device, recipe.optimization.threads)
    protocol = find_protocol(name, recipe.model)
    result = _evaluate(
        store, flow.to(device), prepared, one, protocol, stored, device, draws, progress
    )
    by = make_evaluator(store, owner, device, recipe.optimization.threads, started)
    return store_evaluation(store, one, result, attempt_id, by, stopwatch)


def read_attempt(store: Store, one: JobFacts) -> str:
    """Return the attempt that left the weights which a trial has now.

    Raises UserError if the trial has none, or is being run anew.
    """
    job = store.jobs([one.job_id]).get(one.job_id)
    if job is None or job.done_attempt_id is None:
        raise UserError(f"trial {one.trial_id} has no result yet: launch it first")
    if job.state == "running":
        raise UserError(f"trial {one.trial_id} is being run anew: try again when that has ended")
    return job.done_attempt_id


def make_evaluator(
    store: Store, owner: str, device: str, threads: int, started: float
) -> db.Evaluator:
    """Return who evaluates, where and since when."""
    return db.Evaluator(
        owner=owner,
        host=socket.gethostname(),
        environment_id=store.add_environment(read_environment(device)),
        device=device,
        threads=threads,
        started=started,
    )


def store_evaluation(
    store: Store,
    one: JobFacts,
    result: db.Result,
    attempt_id: str,
    by: db.Evaluator,
    stopwatch: Stopwatch,
) -> Reevaluated:
    """Add a result of the weights that an attempt left to what is stored; return all of its
    protocol.

    Raises UserError where another process stored another one meanwhile, or the trial was run anew.
    """
    try:
        new = store.add_evaluation(
            one.job_id, result, attempt_id=attempt_id, by=by, cost=stopwatch.cost()
        )
    except db.Conflict as error:  # another process was first
        raise UserError(f"{error}; what is stored stays") from error
    kept = store.result(one.subject, one.data_digest, result.protocol)
    assert kept is not None
    return Reevaluated(one, kept, new)


def find_evaluation(store: Store, one: JobFacts, name: Name, draws: int | None) -> db.Result | None:
    """Return a stored result by a protocol that has all that is requested, None for none."""
    stored = store.result(one.subject, one.data_digest, name)
    return stored if stored is not None and _is_whole(stored, draws) else None


def _is_whole(stored: db.Result, draws: int | None) -> bool:
    """Return whether a stored result has all that is requested."""
    if draws is None:
        return True
    test = stored.measure(BITS_PER_DIM)
    images = BOUND_IMAGES if test is None or test.images is None else test.images
    return bound_extent(stored) >= (draws, min(images, BOUND_IMAGES))


def _evaluate(
    store: Store,
    flow: Flow,
    prepared: data.Prepared,
    one: JobFacts,
    protocol: Protocol,
    stored: db.Result | None,
    device: str,
    draws: int | None,
    progress: ProgressFunction,
) -> db.Result:
    total = count_beside_images(flow, prepared, protocol, draws)
    if stored is None:
        total += count_part_images(prepared, protocol)
    done = 0

    def seen(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    where = torch.device(device)
    if stored is not None:
        bound, series = measure_beside(flow, prepared.part("test"), protocol, where, draws, seen)
        try:
            return replace(stored, measures=(*bound_measures(bound), *series_measures(series)))
        except ValueError as error:
            raise UserError(f"trial {one.trial_id}: {error} by this protocol") from error
    measured = measure_flow(flow, prepared, protocol, where, draws, seen)
    _require_finite(one, *measured.values)
    of_training = store.result(one.subject, one.data_digest, "plain")
    if of_training is None:
        raise UserError(
            f"trial {one.trial_id} has weights but no result of its training: its database is "
            "damaged, go back to a copy"
        )
    return make_result(measured, one.subject, one.data_digest, protocol, step=of_training.step)


def _require_finite(one: JobFacts, *values: float) -> None:
    if not all(math.isfinite(v) for v in values):
        raise UserError(
            f"trial {one.trial_id} has no finite bits/dim by this protocol: leave it out"
        )


def choose_device(store: Store, one: JobFacts) -> Literal["cpu", "cuda"]:
    """Return the training's kind of device, if there is one here: other kinds give other bits."""
    return "cuda" if was_on_gpu(store, one) and torch.cuda.is_available() else "cpu"


def was_on_gpu(store: Store, one: JobFacts) -> bool:
    """Return whether a trial was trained on a GPU."""
    (job,) = store.job_facts([one.job_id])
    trained = store.attempts(ids=[job.done_attempt_id or ""])
    return any(attempt.device.startswith("cuda") for attempt in trained)
