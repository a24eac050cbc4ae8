"""Trained trials: which a user means, which to draw, and what two of them differ in."""

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
"""What programs get of a trained trial."""


def choose_first_trials(store: Store, sweep_id: str) -> list[JobFacts]:
    """Return the trial of each cell of a sweep at its first seed that has weights.

    Empty where no trial has any.
    """
    found: dict[Any, JobFacts] = {}
    for one in store.job_facts(kind="trial", sweep_id=sweep_id):  # by seed
        if one.weights:
            found.setdefault(_cell_key(one), one)
    return list(found.values())


def choose_trials_with_results(
    store: Store, trial: str | None, sweep_id: str | None, filters: Filters
) -> list[JobFacts]:
    """Return the trial whose id starts with ``trial``, or all with a result that a sweep has.

    ``filters`` are columns of `results`, each with the values that a result may have; with
    them and no sweep trials of all sweeps count, else those of the one launched last. Raises
    UserError for a trial with one of the others, and where there are no such results.
    """
    if trial is not None:
        _require_alone(sweep_id, filters)
        chosen = _read_trials(store, trial_id=find_trial_id(store, trial))
    else:
        if sweep_id is None and not filters:
            sweep_id = find_sweep(store, None).id
        require_results(store, sweep_id, filters)
        chosen = _read_trials(store, sweep_id=sweep_id, **filters)
    if not chosen:
        raise UserError("there is no result yet: `lcma status` shows how far its sweep is")
    return chosen


def _read_trials(store: Store, **where: Any) -> list[JobFacts]:
    own = views.tables["results"].c
    query = select_view("results", **where).with_only_columns(own.trial_id, own.data_digest)
    keys = {(row.trial_id, row.data_digest) for row in store.rows(query)}
    found = store.job_facts(trial_ids={trial_id for trial_id, _ in keys})
    return [one for one in found if (one.subject, one.data_digest) in keys]


def choose_drawn_trials(
    store: Store, trial: str | None, sweep_id: str | None, filters: Filters
) -> tuple[list[JobFacts], str]:
    """Return trials to draw from, and a line on those left out since they have no weights.

    They are the trial whose id starts with ``trial``; or all with a result that the filters choose;
    or without any filter one of each cell of a sweep, at its first seed that has weights. The line
    is '' for nothing. Raises UserError for a trial with the others, and where a sweep has no
    weights.
    """
    if trial is not None:
        _require_alone(sweep_id, filters)
        full = find_trial_id(store, trial)
        known = store.job_facts(trial_ids=[full])
        if not known:
            raise UserError(f"trial {printable(full)} was never planned on data: launch it first")
        return ([one for one in known if one.weights] or known)[:1], ""
    if filters:
        found = choose_trials_with_results(store, None, sweep_id, filters)
        chosen = [one for one in found if one.weights] or found[:1]
        without, of = len(found) - len(chosen), format_count(len(found), "trial")
    else:
        sweep = find_sweep(store, sweep_id)
        chosen = choose_first_trials(store, sweep.id)
        if not chosen:
            raise _no_weights_error(store, sweep, newest=sweep_id is None)
        cells = len({*map(_cell_key, store.job_facts(kind="trial", sweep_id=sweep.id))})
        without, of = cells - len(chosen), format_count(cells, "cell")
    return chosen, f"{without} of {of} left no weights and are not drawn" if without > 0 else ""


def _require_alone(sweep_id: str | None, filters: Filters) -> None:
    if sweep_id is not None or filters:
        raise UserError("a trial and options that choose trials exclude each other: leave one out")


_cell_key = attrgetter(
    *("flow", "dataset", "variant", "data_digest", "recipe_id"),
    *("factorization", "budget", "map_options"),
)
"""What trials share that differ in their seed alone."""


def _no_weights_error(store: Store, sweep: Sweep, *, newest: bool) -> UserError:
    """Return the error for a sweep none of whose trials has weights."""
    which = f"the {'last launched ' if newest else ''}sweep {printable(sweep.name)}"
    trials = store.job_counts(sweep.id).trial
    if trials.pending or trials.running:
        return UserError(f"no trial of {which} has weights yet: `lcma status` shows how far it is")
    return UserError(
        f"no trial of {which} has weights, and all have ended: a published database has none, "
        "`lcma launch` into a database of your own keeps them"
    )


def describe_trial(one: JobFacts) -> str:
    """Return a trial in a few words, for a line of output."""
    trial = short_id(one.subject)
    return f"{one.flow} on {one.dataset}, {name_rule(one)}, seed {one.seed} ({trial})"


def name_rule(one: JobFacts) -> str:
    """Return a trial's rule, with budget and options of its maps where it has some."""
    at = "" if one.budget is None else f" at budget {one.budget}"
    options = "" if one.map_options is None else f", {label_options(one.map_options)}"
    return f"{factorization_label(one.factorization_or_kind)}{at}{options}"


def trial_as_dict(one: JobFacts) -> dict[str, Any]:
    """Return what a trial is, as JSON values."""
    return {name: getattr(one, name) for name in TRIAL}


# What two trials differ in: what they are, their settings, where they ran, their measures

IDENTITY = (
    *("flow", "dataset", "variant", "data_digest", "profile"),
    *("factorization", "budget", "map_options", "seed"),
)
LOCAL = {"id", "created"}
"""Columns of an environment that say nothing of it."""
NESTED = {"packages", "flags"}
"""Columns of an environment that are JSON."""


Difference = tuple[str, str | float | None, str | float | None, float | None]
"""A name, what each of two trials has under it, None where one has nothing, and of measures the
second less the first."""


def compare_trials(
    store: Store, first: JobFacts, second: JobFacts, protocol: str
) -> tuple[list[Difference], int]:
    """Return in what two trials differ, and how many measures of a protocol are equal."""
    pair = first, second
    recipes = store.recipes([one.recipe_id for one in pair])
    results = [store.result(one.subject, one.data_digest, protocol) for one in pair]
    measures = [{m.name: m.value for m in one.measures} if one else {} for one in results]
    sides = (
        [{name: getattr(one, name) for name in IDENTITY} for one in pair],
        [settings.flat(parse_object(recipes[one.recipe_id].body)) for one in pair],
        [_flatten(read_environment_of(store, one.job_id)) for one in pair],
        measures,
    )
    found = [difference for one, other in sides for difference in _list_differing(one, other)]
    return found, len(measures[0].items() & measures[1].items())


def _flatten(environment: Mapping[str, Any]) -> dict[str, Any]:
    nested = {name: parse_object(environment[name]) for name in NESTED & environment.keys()}
    return {k: v for k, v in environment.items() if k not in NESTED | LOCAL} | settings.flat(nested)


def _list_differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for name in {**one, **other}:
        a, b = one.get(name), other.get(name)
        if a != b:
            gap = b - a if isinstance(a, float) and isinstance(b, float) else None
            yield name, _as_shown(a), _as_shown(b), gap


def _as_shown(value: object) -> str | float | None:
    return value if value is None or isinstance(value, float) else str(value)
