"""Trained trials: which ones a person means, and which of many to draw."""

from collections.abc import Sequence

from lcma.db import Store, Sweep, TrainedTrial
from lcma.harness.results.board import factorization_label
from lcma.harness.results.lookup import find_sweep, full_trial_id
from lcma.harness.text import printable, short_id
from lcma.sweeps.errors import UserError


def choose_trials(store: Store, trial: str | None, sweep: str | None) -> list[TrainedTrial]:
    """The trial that a person named by the start of its id, or the first of each of a sweep.

    Raises UserError for both together, and where there is nothing with weights.
    """
    if trial is not None and sweep is not None:
        raise UserError("a trial and --sweep exclude each other: leave one out")
    if trial is None:
        found = find_sweep(store, sweep)
        kept = first_of_each(store, found.id)
        if not kept:
            raise nothing_kept(found, newest=sweep is None)
        return kept
    full = full_trial_id(store, trial)
    known = store.trained_trials([full])
    if not known:
        raise UserError(f"trial {printable(full)} was never planned on data: launch it first")
    return ([one for one in known if one.weights] or known)[:1]


def first_of_each(store: Store, sweep_id: str) -> list[TrainedTrial]:
    """Each factorization of a sweep at the first seed that has weights; empty if none has."""
    members = [member.trial_id for member in store.sweep_members(sweep_id)]
    kept = [one for one in store.trained_trials(members) if one.weights]
    first = min((one.seed for one in kept), default=0)
    found: dict[tuple[object, ...], TrainedTrial] = {}
    for one in kept:
        if one.seed == first:
            found.setdefault((one.flow, one.dataset, one.factorization, one.budget), one)
    return list(found.values())


def trials_with_weights(store: Store, sweep_id: str) -> list[TrainedTrial]:
    """The trials of a sweep that have weights, each on the content that it was trained on last."""
    members = [member.trial_id for member in store.sweep_members(sweep_id)]
    found: dict[str, TrainedTrial] = {}
    for one in store.trained_trials(members):
        if one.weights:
            found.setdefault(one.trial_id, one)
    return list(found.values())


def choose_trials_of_cells(store: Store, trial_ids: Sequence[str]) -> list[TrainedTrial]:
    """Of each cell the trial of the highest seed that has weights."""
    found: dict[tuple[object, ...], TrainedTrial] = {}
    for one in store.trained_trials(trial_ids):
        if one.weights:
            key = (one.data_digest, one.recipe_id, one.factorization, one.budget)
            if key not in found or found[key].seed < one.seed:
                found[key] = one
    return list(found.values())


def nothing_kept(sweep: Sweep, *, newest: bool) -> UserError:
    """What is said of a sweep none of whose trials has weights."""
    return UserError(
        f"no trial of the {'newest ' if newest else ''}sweep {printable(sweep.name)} has "
        "weights yet: "
        "`lcma status` shows how far it is"
    )


def describe_trial(one: TrainedTrial) -> str:
    """A trial in a few words."""
    at = "" if one.budget is None else f" at budget {one.budget}"
    trial = short_id(one.trial_id)
    what = factorization_label(one.factorization)
    return f"{one.flow} on {one.dataset}, {what}{at}, seed {one.seed} ({trial})"
