"""Records of the store, found by what a user types or prepared for reports."""

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db import Bar, JobFacts, Store, Sweep, select_view
from lcma.db.schema import attempts, bars, data_sets, environments, jobs, trials
from lcma.harness.text import printable
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError, suggest

WHOLE = ("official", "published counts")
"""Verdicts on the files of a whole set: by their checksums, or by the number of images."""


def read_whole_sets(store: Store) -> set[str]:
    """Return the digests of data sets whose files are known to be those of a whole set."""
    found = store.rows(sa.select(data_sets.c.digest, data_sets.c.manifest))
    sources = ((digest, parse_object(text).get("source")) for digest, text in found)
    return {digest for digest, of in sources if isinstance(of, dict) and of.get("verdict") in WHOLE}


def read_bars(store: Store) -> dict[str, list[Bar]]:
    """Return the bars of every data set by its digest, also those that were left out."""
    found: dict[str, list[Bar]] = {}
    for row in store.rows(sa.select(bars).order_by(bars.c.data_digest, bars.c.name)):
        found.setdefault(row.data_digest, []).append(Bar(**row._mapping))
    return found


def read_environment_of(store: Store, job_id: str) -> dict[str, Any]:
    """Return versions, hardware and threads of the attempt that did a job; empty until it is."""
    query = (
        sa.select(environments, attempts.c.threads)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.done_attempt_id)
        .join(environments, environments.c.id == attempts.c.environment_id)
        .where(jobs.c.id == job_id)
    )
    return next((dict(row._mapping) for row in store.rows(query)), {})


def read_conventional(store: Store, recipe_ids: Collection[str]) -> dict[str, str]:
    """Return what was, or is by default, run as the conventional factorization of each recipe."""
    shipped = catalog.flows()
    found = {
        one.id: one.conventional or shipped.get(one.flow)
        for one in store.recipes(recipe_ids).values()
    }
    return {recipe_id: name for recipe_id, name in found.items() if name is not None}


def read_score(factorization: str, map_options: str | None) -> str:
    """Return the score of the maps that a trial with these options reads."""
    if factorization in factorizations.DATA_RULES:
        return factorization
    return str(parse_object(map_options or "{}").get("score", "cumulative"))


def find_trial_id(store: Store, start: str) -> str:
    """Return the id of the one trial whose id starts with ``start``.

    Raises UserError where there is none, or where there are several.
    """
    begins = sa.func.substr(trials.c.id, 1, len(start)) == start
    rows = store.rows(sa.select(trials.c.id).where(begins)) if start.isprintable() else []
    found = _choose_id({row.id for row in rows}, start, "trials")
    if found is None:
        query = "select id, flow, dataset, factorization, budget, seed from flow_trials"
        listing = shlex.join(["lcma", "sql", query, "--db", store.database.shown_url])
        raise UserError(f"no trial starts with {printable(start)!r}: look for it with {listing}")
    return found


def find_jobs(store: Store, start: str) -> list[JobFacts]:
    """Return the jobs of the one trial, pretraining or job whose id starts with ``start``.

    A trial has one job for each content of its data set, a pretraining one for each budget. Raises
    UserError where there is none, or where several start so.
    """
    found = store.job_facts(prefix=start) if start and start.isprintable() else []
    ids = {i for one in found for i in (one.job_id, one.subject) if i.startswith(start)}
    wanted = _choose_id(ids, start, "trials, pretrainings and jobs")
    if wanted is None:
        raise UserError(
            f"no trial, pretraining or job starts with {printable(start)!r}: `lcma status` "
            "shows the ids of what runs and of what failed, `lcma sql` reads those in the table "
            "`jobs`"
        )
    return [one for one in found if wanted in (one.job_id, one.subject)]


def _choose_id(ids: Collection[str], start: str, what: str) -> str | None:
    """Return that id, or the only one there is; None for none. Raises UserError for several."""
    if start not in ids and len(ids) > 1:
        raise UserError(f"{len(ids)} {what} start with {printable(start)!r}: give more of the id")
    return start if start in ids else next(iter(ids), None)


def means_jobs(store: Store, name: str) -> bool:
    """Return whether an id of a trial, pretraining or job starts with a name that no sweep has.

    Raises UserError where that of a sweep starts so too.
    """
    sweeps = store.sweeps()
    if not name or any(name in (one.name, one.id) for one in sweeps):
        return False
    found = name.isprintable() and bool(store.job_facts(prefix=name))
    if found and any(one.id.startswith(name) for one in sweeps):
        raise UserError(
            f"a sweep and a trial, pretraining or job start with {printable(name)!r}: give more "
            "of the id"
        )
    return found


def job_title(job: JobFacts) -> str:
    """Return a job's name for people, as in a launch."""
    flow = f"{job.flow} {job.dataset}"
    if job.nms == "data":
        return printable(f"measure the data {job.dataset}")
    if job.kind == "pretraining":
        how = "split by split " if job.nms == "self" else ""
        return printable(f"pretrain {flow} {how}to {job.budget} seed {job.seed}")
    budget = "" if job.budget is None else f" budget {job.budget}"
    return printable(f"train {flow} {job.factorization}{budget} seed {job.seed}")


def find_sweeps(store: Store, name: str | None) -> list[Sweep]:
    """Return the sweeps of that name, or the one of that id, or for None the one launched last.

    Of several the one launched last is at the end.
    An id may be shortened. Raises UserError where there is none, or where several ids start so.
    """
    sweeps = store.sweeps()
    if not sweeps:
        raise UserError("the database has no sweep yet: start one with `lcma launch demo`")
    if name is None:
        return sweeps[-1:]
    found = [one for one in sweeps if one.name == name]
    if not found:
        starting = {one.id for one in sweeps if name and one.id.startswith(name)}
        wanted = _choose_id(starting, name, "sweeps")
        found = [one for one in sweeps if one.id == wanted]
    if not found:
        hint = printable(suggest(name, sorted({s.name for s in sweeps}), "it has"))
        raise UserError(f"no sweep {printable(name)!r} in the database: {hint}")
    return found


def find_sweep(store: Store, name: str | None) -> Sweep:
    """Return the sweep of that name or id, where several or all have it the one launched last.

    An id may be shortened. Raises UserError where there is none, or where several ids start so.
    """
    return find_sweeps(store, name)[-1]


def parse_object(text: str) -> dict[str, Any]:
    """Return a stored JSON object; empty where the text is not one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def label_options(map_options: str) -> str:
    """Return options of the map as shown, such as 'score normalized' or 'rule c0536d95af1a'."""
    found = parse_object(map_options)
    named = (f"{name} {str(value).removeprefix('sha256:')}" for name, value in found.items())
    return ", ".join(named) or map_options


# Errors for filters that match no result

LISTED = 20
"""Most values that an error names."""


OPTIONS = ("flow", "dataset", "factorization", "seed")
"""Columns of results that have an option of their own; all have `--where`."""


def name_option(name: str) -> str:
    """Return how a user chooses rows by a column, up to the value."""
    return f"--{name} " if name in OPTIONS else f"--where {name}="


def has_results(store: Store, sweep_id: str | None = None, **where: Any) -> bool:
    """Return whether there are results with these values, of one sweep or of all."""
    found = select_view("results", sweep_id=sweep_id, **where)
    return bool(store.rows(found.order_by(None).limit(1)))


def require_results(
    store: Store, sweep_id: str | None, wanted: Mapping[str, Any], option: str | None = None
) -> None:
    """Raise UserError where there are results, but none with these values.

    The error is about the first column of which no result has any of the values, with those there
    are, or says that none meets all columns at once. ``option`` is how a user gives a column, by
    default as `name_option` says.
    """
    if not wanted or has_results(store, sweep_id, **wanted):
        return
    for name, values in wanted.items():
        several = isinstance(values, Collection) and not isinstance(values, str)
        values = list(values) if several else [values]
        known = store.result_values(name, sweep_id=sweep_id)
        if not known:
            return
        if set(values).isdisjoint(known):
            given = name_option(name) if option is None else option.format(name=name)
            raise make_absence_error("results", given, values[0], known)
    raise UserError("no results meet all of these options at once: leave one out")


def make_absence_error(what: str, given: str, value: object, known: Sequence[object]) -> UserError:
    """Return the error that nothing has a value, with the nearest of those there are, or all.

    ``given`` is how a user chooses by such values.
    """
    wanted, *names = ("null" if one is None else printable(one) for one in (value, *known))
    more = len(names) - LISTED
    hint = f"there are {', '.join(names[:LISTED])}" + f" and {more} more" * (more > 0)
    if isinstance(value, str):  # of numbers none is meant by another
        near = suggest(value, map(str, known))
        hint = printable(near) if near.endswith("?") else hint
    return UserError(f"no {what} with {given}{wanted}: {hint}")
