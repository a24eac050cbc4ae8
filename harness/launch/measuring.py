"""Measures of the kept weights of trials, taken in this process or on the nodes of a cluster."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

from lcma import db
from lcma.db import JobFacts, Store
from lcma.db.results import require_same_measures
from lcma.harness.launch.driver import new_owner
from lcma.harness.launch.workers import Stage, Workers
from lcma.harness.measure import weights
from lcma.harness.measure.registry import make_measure
from lcma.harness.measure.trials import (
    find_measured,
    measure_trial,
    require_measurable,
    was_on_gpu,
)
from lcma.harness.place import Place
from lcma.harness.results.trials import describe_trial
from lcma.harness.storage.folder import UnreachableError
from lcma.harness.text import format_count
from lcma.harness.train.devices import ran_out_of_memory
from lcma.sweeps import known_sets, plugins
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.measures import list_measures
from lcma.sweeps.plugins import Plugin
from lcma.sweeps.spec import Resources

ReportFunction = Callable[[str, int, int], None]
"""Called with what is counted, how many are done, and how many there are."""

_VARYING_PARTS = re.compile(r"[0-9a-f]{8,}|\d+")
"""Ids and numbers, in which reasons of the same kind differ."""


@dataclass(frozen=True)
class Measured:
    """A trial's result with a measure."""

    trial: JobFacts
    result: db.Result
    new: bool  # whether the measure was taken now


def measure_trials(
    store: Store,
    place: Place,
    trials: Sequence[JobFacts],
    names: Sequence[str],
    options: dict[str, Any] | None = None,
    *,
    ray: str | None = None,
    gpus: float | None = None,
    any_code: bool = False,
    stage: Stage = lambda what: nullcontext(),
    report: ReportFunction = lambda what, done, total: None,
) -> tuple[dict[str, list[Measured]], list[str]]:
    """Take measures of the kept weights of trials, and store them.

    A stored measure is not taken again. If one trial fails, the others are still measured.

    Args:
        store: The database.
        place: Where the database, the weights and the data are, for all nodes.
        trials: The trials.
        names: The measures.
        options: Those of `make_measure`.
        ray: The address of a cluster's head, or `auto`: each measure of a trial is a task on one of
            its nodes. A node that lacks something gets none, and a lost task runs elsewhere. None
            for this process, one trial after the other.
        gpus: GPUs of a task (0 to 1); by default 1 if a trial was trained on a GPU.
        any_code: Let nodes measure that have other code than this process.
        stage: Shows what is being done before the first task on nodes.
        report: Called with progress.

    Returns:
        By measure the results in the order of ``trials``, and a line for each reason why trials
        cannot be measured.

    Raises:
        UserError: No trial can have a measure, or no node can measure.
        ClusterLostError: The cluster is gone; the measures taken so far are stored.
        LaunchInterrupted: A signal ended it; the measures taken so far are stored.
    """
    options = options or {}
    measures = {name: make_measure(name, **options) for name in names}
    failed = {name: dict[str, str]() for name in names}
    pairs = list[tuple[str, JobFacts]]()
    for name, measure in measures.items():
        for trial in trials:
            if find_measured(store, trial, measure) is None:
                try:
                    require_measurable(store, place, trial, measure)
                    pairs.append((name, trial))
                except UserError as error:
                    failed[name][trial.job_id] = _describe_trial_error(error)
        if len(failed[name]) == len(trials):
            raise UserError("; ".join(_describe_failures(failed[name], trials)))
    calls = [(place, trial, plugins.loaded(), name, options) for name, trial in pairs]
    with ExitStack() as block:
        if ray is None or not pairs:
            answers = _measure_here(calls, report)
        else:
            unmeasured = [trial for _, trial in pairs]
            if gpus is None:
                gpus = float(any(was_on_gpu(store, trial) for trial in unmeasured))
            recipes = [weights.load_recipe(store, trial) for trial in unmeasured]
            threads = max(recipe.optimization.threads for recipe in recipes)
            workers = block.enter_context(
                Workers(Resources(gpus=gpus), threads, stage, {"ray": ray, "any_code": any_code})
            )
            workers.require(
                place,
                {known_sets.set_name(t.dataset, t.variant): t.data_digest for t in unmeasured},
            )
            titles = (f"measure {name} of trial {trial.trial_id}" for name, trial in pairs)
            arguments = ((*call, workers.owner, gpus) for call in calls)
            from lcma.harness.launch.cluster import RayExecutor

            assert isinstance(workers.executor, RayExecutor)
            answers = workers.executor.run_each(_measure, [*zip(titles, arguments, strict=True)])
        for done, (name, job_id, reason) in enumerate(answers, start=1):
            report(f"measuring {name}, trials", done, len(pairs))
            if reason:
                failed[name][job_id] = reason
    measured = {
        name: [
            Measured(trial, result, new=(name, trial) in pairs)
            for trial in trials
            if trial.job_id not in failed[name] and (result := find_measured(store, trial, measure))
        ]
        for name, measure in measures.items()
    }
    lines = [line for name in names for line in _describe_failures(failed[name], trials)]
    if not any(measured.values()):
        raise UserError("; ".join(lines))
    return measured, lines


_Call = tuple[Place, JobFacts, tuple[Plugin, ...], str, dict[str, Any]]


def _measure_here(calls: Sequence[_Call], report: ReportFunction) -> Iterator[tuple[str, str, str]]:
    owner = new_owner()
    for number, call in enumerate(calls, start=1):
        title, done = f"trial {number} of {len(calls)} ({describe_trial(call[1])}), images", 0

        def seen(count: int, total: int, title: str = title) -> None:
            nonlocal done
            done += count
            report(title, done, total)

        yield _measure(*call, owner, report_share=seen)


def _measure(
    place: Place,
    trial: JobFacts,
    needed: Sequence[Plugin],
    name: str,
    options: dict[str, Any],
    owner: str,
    gpus: float = 1.0,
    report_share: Callable[[int, int], None] = lambda count, total: None,
) -> tuple[str, str, str]:
    """Measure a trial, here or on a node; return the measure, the job, and '' or an error."""
    plugins.load(needed)
    measure = make_measure(name, **options)
    with db.connect(place.db, create=False) as store:
        require_same_measures(store.measure_kinds(), list_measures())
        try:
            measure_trial(
                store, place, trial, measure, owner=owner, gpus=gpus, progress=report_share
            )
        except UserError as error:
            return name, trial.job_id, _describe_trial_error(error)
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            return name, trial.job_id, f"memory ran out: {describe_error(error)}"
    return name, trial.job_id, ""


def _describe_trial_error(error: UserError) -> str:
    """Return why a trial cannot be measured.

    Raises an error that concerns all trials: the database or the storage is unreachable.
    """
    if isinstance(error, (db.Unavailable, UnreachableError)):
        raise error
    return str(error)


def _describe_failures(reasons: Mapping[str, str], trials: Sequence[JobFacts]) -> list[str]:
    """Return a line for each kind of reason; for a single trial only the reason."""
    if len(trials) == 1:
        return [*reasons.values()]
    kinds = defaultdict[str, list[str]](list)
    for reason in reasons.values():
        kinds[_VARYING_PARTS.sub("", reason)].append(reason)
    return [
        f"{len(alike)} of {format_count(len(trials), 'trial')} cannot be measured"
        f"{', the first since' if alike[1:] else ':'} {alike[0]}"
        for alike in kinds.values()
    ]
