"""Measures of kept weights of trained trials, in this process or on the nodes of a cluster."""

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
from lcma.sweeps import known_sets, plugins
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import list_measures
from lcma.sweeps.plugins import Plugin
from lcma.sweeps.spec import Resources

ReportFunction = Callable[[str, int, int], None]
"""Called with what is counted, and how many of how many are done."""

_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")
"""What reasons of one kind differ in: ids and numbers."""


@dataclass(frozen=True)
class Measured:
    """A trial's result that has a measure; ``new`` if it was taken now."""

    trial: JobFacts
    result: db.Result
    new: bool


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

    What is there already is served. A trial that fails keeps none of the others from being
    measured.

    Args:
        store: The database.
        place: Where it, the weights and the data are, for all nodes.
        trials: What is measured, in the order of what is returned.
        names: The measures.
        options: Those of `make_measure`.
        ray: The address of a cluster's head, or `auto`, on whose nodes each measure of a trial is
            a task; a node that lacks what is needed gets none, and a task that is lost runs
            elsewhere. None for this process, one trial after the other.
        gpus: GPUs of a task (0 to 1), by default one if a trial was trained on one.
        any_code: Let nodes with other code than here measure too.
        stage: Shows what is being done before the first task on nodes.
        report: Called with progress.

    Returns:
        What was found by each measure, and a line for each reason why trials cannot have it.

    Raises:
        UserError: No trial can have a measure, or no node can measure.
        ClusterLostError: The cluster is gone; what was measured is stored.
        LaunchInterrupted: A signal ended it; what was measured is stored.
    """
    options = options or {}
    measures = {name: make_measure(name, **options) for name in names}
    failed = {name: dict[str, str]() for name in names}
    left = list[tuple[str, JobFacts]]()
    for name, measure in measures.items():
        for one in trials:
            if find_measured(store, one, measure) is None:
                try:
                    require_measurable(store, place, one, measure)
                    left.append((name, one))
                except UserError as error:
                    failed[name][one.job_id] = _describe_of_trial(error)
        if len(failed[name]) == len(trials):
            raise UserError("; ".join(_describe_failures(failed[name], trials)))
    calls = [(place, one, plugins.loaded(), name, options) for name, one in left]
    with ExitStack() as block:
        if ray is None or not left:
            answers = _measure_here(calls, report)
        else:
            own = [one for _, one in left]
            if gpus is None:
                gpus = float(any(was_on_gpu(store, one) for one in own))
            threads = [weights.load_recipe(store, one).optimization.threads for one in own]
            needs = Resources(gpus=gpus), max(threads)
            started = Workers(*needs, stage, {"ray": ray, "any_code": any_code})
            workers = block.enter_context(started)
            sets = {known_sets.set_name(o.dataset, o.variant): o.data_digest for o in own}
            workers.require(place, sets)
            titles = (f"measure {name} of trial {one.trial_id}" for name, one in left)
            given = ((*call, workers.owner) for call in calls)
            from lcma.harness.launch.cluster import RayExecutor

            assert isinstance(workers.executor, RayExecutor)
            answers = workers.executor.run_each(_measure, [*zip(titles, given, strict=True)])
        for done, (name, job_id, reason) in enumerate(answers, start=1):
            report(f"measuring {name}, trials", done, len(left))
            if reason:
                failed[name][job_id] = reason
    found = {
        name: [
            Measured(one, result, new=(name, one) in left)
            for one in trials
            if one.job_id not in failed[name] and (result := find_measured(store, one, measure))
        ]
        for name, measure in measures.items()
    }
    lines = [line for name in names for line in _describe_failures(failed[name], trials)]
    if not any(found.values()):
        raise UserError("; ".join(lines))
    return found, lines


_Call = tuple[Place, JobFacts, tuple[Plugin, ...], str, dict[str, Any]]


def _measure_here(calls: Sequence[_Call], report: ReportFunction) -> Iterator[tuple[str, str, str]]:
    owner = new_owner()
    for number, call in enumerate(calls, start=1):
        what, done = f"trial {number} of {len(calls)} ({describe_trial(call[1])}), images", 0

        def seen(count: int, total: int, what: str = what) -> None:
            nonlocal done
            done += count
            report(what, done, total)

        yield _measure(*call, owner, seen)


def _measure(
    place: Place,
    one: JobFacts,
    wanted: Sequence[Plugin],
    name: str,
    options: dict[str, Any],
    owner: str,
    seen: Callable[[int, int], None] = lambda count, total: None,
) -> tuple[str, str, str]:
    """Measure a trial, here or on a node; return measure, job and why that failed."""
    plugins.load(wanted)
    measure = make_measure(name, **options)
    with db.connect(place.db, create=False) as store:
        require_same_measures(store.measure_kinds(), list_measures())
        try:
            measure_trial(store, place, one, measure, owner=owner, progress=seen)
        except UserError as error:
            return name, one.job_id, _describe_of_trial(error)
    return name, one.job_id, ""


def _describe_of_trial(error: UserError) -> str:
    """Return why one trial cannot be measured.

    Raises what the others would raise too: the database or the storage is away.
    """
    if isinstance(error, (db.Unavailable, UnreachableError)):
        raise error
    return str(error)


def _describe_failures(reasons: Mapping[str, str], trials: Sequence[JobFacts]) -> list[str]:
    """Return a line for each kind of reason; of one trial the reason alone."""
    if len(trials) == 1:
        return [*reasons.values()]
    kinds = defaultdict[str, list[str]](list)
    for reason in reasons.values():
        kinds[_VARYING.sub("", reason)].append(reason)
    return [
        f"{len(some)} of {format_count(len(trials), 'trial')} cannot be measured"
        f"{', the first since' if some[1:] else ':'} {some[0]}"
        for some in kinds.values()
    ]
