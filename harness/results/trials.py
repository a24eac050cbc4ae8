"""Trained trials: choosing them by options, choosing those to draw from, and comparing two."""

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from lcma.db import JobFacts, Store, Sweep, select_view
from lcma.db.views import views
from lcma.harness.results.board import factorization_label
from lcma.harness.results.filters import Filters
from lcma.harness.results.lookup import (
    find_sweep,
    find_trial_id,
    label_options,
    parse_object,
    read_environment_of,
    require_results,
)
from lcma.harness.text import format_count, printable, short_id
from lcma.sweeps import settings
from lcma.sweeps.errors import UserError

TRIAL = (
    *("trial_id", "job_id", "data_digest", "state", "flow", "dataset", "variant", "factorization"),
    *("budget", "seed", "recipe_id", "pretraining_id", "weights"),
)
"""Facts of a trained trial in JSON output."""


def choose_first_trials(store: Store, sweep_id: str) -> list[JobFacts]:
    """Return the trial of each cell of a sweep at its first seed with weights, where any has."""
    by_cell: dict[Any, JobFacts] = {}
    for trial in store.job_facts(kind="trial", sweep_id=sweep_id):  # by seed
        if trial.weights:
            by_cell.setdefault(_cell_key(trial), trial)
    return list(by_cell.values())


def choose_trials_with_results(
    store: Store, sweep_id: str | None, filters: Filters
) -> list[JobFacts]:
    """Return the trials of a sweep with results.

    Without a sweep, they are the trials of all sweeps that ``filters`` select, or, without filters,
    those of the sweep launched last. Raises UserError where there are no such results.
    """
    others = "`lcma status` shows how far its sweep is"
    if sweep_id is None and not filters:
        sweep_id, name = (last := find_sweep(store, None)).id, printable(last.name)
        if len(store.sweeps()) > 1:
            others = f"{name} was launched last, and --sweep NAME chooses another sweep"
    require_results(store, sweep_id, filters)
    chosen = _read_trials(store, sweep_id=sweep_id, **filters)
    if not chosen:
        raise UserError(f"there is no result yet: {others}")
    return chosen


def _read_trials(store: Store, **where: Any) -> list[JobFacts]:
    columns = views.tables["results"].c
    query = select_view("results", **where).with_only_columns(columns.trial_id, columns.data_digest)
    keys = {(row.trial_id, row.data_digest) for row in store.rows(query)}
    trials = store.job_facts(trial_ids={trial_id for trial_id, _ in keys})
    return [trial for trial in trials if (trial.subject, trial.data_digest) in keys]


def choose_drawn_trials(
    store: Store, trial: str | None, sweep_id: str | None, filters: Filters
) -> tuple[list[JobFacts], str]:
    """Return trials to draw samples from, and a line on those left out, or "".

    They are the trial whose id starts with ``trial``, or all trials with results that the filters
    select, or, without filters, one trial of each cell of a sweep, at its first seed with weights.
    The line counts those without weights. Raises UserError for a trial together with other options,
    and where a sweep has no weights.
    """
    if trial is not None:
        _require_alone(sweep_id, filters)
        trial_id = find_trial_id(store, trial)
        jobs = store.job_facts(trial_ids=[trial_id])
        if not jobs:
            raise UserError(
                f"trial {printable(trial_id)} was never planned on data: launch it first"
            )
        return ([job for job in jobs if job.weights] or jobs)[:1], ""
    if filters:
        trials = choose_trials_with_results(store, sweep_id, filters)
        chosen = [trial for trial in trials if trial.weights] or trials[:1]
        missing, total = len(trials) - len(chosen), format_count(len(trials), "trial")
    else:
        sweep = find_sweep(store, sweep_id)
        chosen = choose_first_trials(store, sweep.id)
        if not chosen:
            raise _no_weights_error(store, sweep, newest=sweep_id is None)
        cells = len({*map(_cell_key, store.job_facts(kind="trial", sweep_id=sweep.id))})
        missing, total = cells - len(chosen), format_count(cells, "cell")
    return chosen, f"{missing} of {total} left no weights and are not drawn" if missing > 0 else ""


def _require_alone(sweep_id: str | None, filters: Filters) -> None:
    if sweep_id is not None or filters:
        raise UserError("a trial and options that choose trials exclude each other: leave one out")


_cell_key = attrgetter(
    *("flow", "dataset", "variant", "data_digest", "recipe_id"),
    *("factorization", "budget", "map_options"),
)
"""Facts shared by trials that differ only in their seed."""


def _no_weights_error(store: Store, sweep: Sweep, *, newest: bool) -> UserError:
    which = f"the {'last launched ' if newest else ''}sweep {printable(sweep.name)}"
    trials = store.job_counts(sweep.id).trial
    if trials.pending or trials.running:
        return UserError(f"no trial of {which} has weights yet: `lcma status` shows how far it is")
    return UserError(
        f"no trial of {which} has weights, and all have ended: a published database has no "
        "weights; `lcma launch` into your own database keeps them"
    )


def describe_trial(trial: JobFacts) -> str:
    """Return a trial in a few words, for a line of output."""
    rule, trial_id = describe_rule(trial), short_id(trial.subject)
    return f"{trial.flow} on {trial.dataset}, {rule}, seed {trial.seed} ({trial_id})"


def describe_rule(trial: JobFacts) -> str:
    """Return a trial's factorization, with its budget and options of the map where it has some."""
    budget = "" if trial.budget is None else f" at budget {trial.budget}"
    options = "" if trial.map_options is None else f", {label_options(trial.map_options)}"
    return f"{factorization_label(trial.factorization_or_kind)}{budget}{options}"


def trial_as_dict(trial: JobFacts) -> dict[str, Any]:
    """Return the facts of a trial as JSON values."""
    return {name: getattr(trial, name) for name in TRIAL}


# The differences between two trials: facts, settings, environments, measures

IDENTITY_COLUMNS = (
    *("flow", "dataset", "variant", "data_digest", "profile"),
    *("factorization", "budget", "map_options", "seed"),
)
IGNORED_COLUMNS = {"id", "created"}
"""Columns of an environment that do not describe it."""

JSON_COLUMNS = {"packages", "flags"}
"""Columns of an environment that hold JSON."""

Difference = tuple[str, str | float | None, str | float | None, float | None]
"""A name, the value of each of two trials, and, for numbers, the second minus the first."""


def compare_trials(store: Store, first: JobFacts, second: JobFacts) -> tuple[list[Difference], int]:
    """Return the differences of two trials, and how many measures are equal."""
    pair = first, second
    recipes = store.recipes([trial.recipe_id for trial in pair])
    results = [store.result(trial.subject, trial.data_digest, "plain") for trial in pair]
    measures = [{m.name: m.value for m in r.measures} if r else {} for r in results]
    sides = (
        [{name: getattr(trial, name) for name in IDENTITY_COLUMNS} for trial in pair],
        [settings.flatten(parse_object(recipes[trial.recipe_id].body)) for trial in pair],
        [_flatten(read_environment_of(store, trial.job_id)) for trial in pair],
        measures,
    )
    differences = [d for left, right in sides for d in _list_differences(left, right)]
    return differences, len(measures[0].items() & measures[1].items())


def _flatten(environment: Mapping[str, Any]) -> dict[str, Any]:
    nested = {name: parse_object(environment[name]) for name in JSON_COLUMNS & environment.keys()}
    skipped = JSON_COLUMNS | IGNORED_COLUMNS
    return {k: v for k, v in environment.items() if k not in skipped} | settings.flatten(nested)


def _list_differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Difference]:
    def as_shown(value: object) -> str | float | None:
        return value if value is None or isinstance(value, float) else str(value)

    for name in {**left, **right}:
        a, b = left.get(name), right.get(name)
        if a != b:
            gap = b - a if isinstance(a, float) and isinstance(b, float) else None
            yield name, as_shown(a), as_shown(b), gap
