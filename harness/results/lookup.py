"""Looking up stored records: by what a user types, or for reports."""

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
from lcma.sweeps.measures import BITS_PER_DIM

WHOLE_SET_VERDICTS = ("official", "published counts", "published counts, official list")
"""Verdicts of a data set's manifest that its files are those of a whole set: by their checksums, or
by the number of images."""


def read_whole_sets(store: Store) -> set[str]:
    """Return the digests of data sets that are known to have all images of a whole set."""
    rows = store.rows(sa.select(data_sets.c.digest, data_sets.c.manifest))
    manifests = ((digest, parse_object(text)) for digest, text in rows)
    return {
        digest
        for digest, manifest in manifests
        if isinstance(source := manifest.get("source"), dict)
        and source.get("verdict") in WHOLE_SET_VERDICTS
        and manifest.get("counts") == manifest.get("expected")
    }


def read_bars(store: Store) -> dict[str, list[Bar]]:
    """Return the bars of every data set by its digest, including those without a number."""
    by_digest: dict[str, list[Bar]] = {}
    for row in store.rows(sa.select(bars).order_by(bars.c.data_digest, bars.c.name)):
        by_digest.setdefault(row.data_digest, []).append(Bar(**row._mapping))
    return by_digest


def read_environment_of(store: Store, job_id: str) -> dict[str, Any]:
    """Return versions, hardware and threads of the attempt that completed a job; else nothing."""
    query = (
        sa.select(environments, attempts.c.threads)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.done_attempt_id)
        .join(environments, environments.c.id == attempts.c.environment_id)
        .where(jobs.c.id == job_id)
    )
    return next((dict(row._mapping) for row in store.rows(query)), {})


def read_conventional(store: Store, recipe_ids: Collection[str]) -> dict[str, str]:
    """Return the conventional factorization of each recipe: its own, or the flow's default."""
    defaults = catalog.flows()
    rules = {
        recipe.id: recipe.conventional or defaults.get(recipe.flow)
        for recipe in store.recipes(recipe_ids).values()
    }
    return {recipe_id: rule for recipe_id, rule in rules.items() if rule is not None}


def read_score(factorization: str, map_options: str | None) -> str:
    """Return the score of the maps that a trial reads."""
    if factorization in factorizations.DATA_RULES:
        return factorization
    options = parse_object(map_options or "{}")
    score = str(options.get("score", "cumulative"))
    return f"{score}/{options['conv1x1']}" if "conv1x1" in options else score


def find_trial_id(store: Store, start: str) -> str:
    """Return the id of the only trial whose id starts with ``start``, or raise UserError."""
    matches = sa.func.substr(trials.c.id, 1, len(start)) == start
    rows = store.rows(sa.select(trials.c.id).where(matches)) if start.isprintable() else []
    trial_id = _choose_id({row.id for row in rows}, start, "trials")
    if trial_id is None:
        query = "select id, flow, dataset, factorization, budget, seed from flow_trials"
        listing = shlex.join(["lcma", "sql", query, "--db", store.database.shown_url])
        raise UserError(f"no trial starts with {printable(start)!r}: look for it with {listing}")
    return trial_id


def find_jobs(store: Store, start: str) -> list[JobFacts]:
    """Return the jobs of the only trial, pretraining or job whose id starts with ``start``.

    A trial has one job for each content of its data set, a pretraining one for each budget. Raises
    UserError where no id or several start with it.
    """
    matches = store.job_facts(prefix=start) if start and start.isprintable() else []
    ids = {i for job in matches for i in (job.job_id, job.subject) if i.startswith(start)}
    chosen = _choose_id(ids, start, "trials, pretrainings and jobs")
    if chosen is None:
        raise UserError(
            f"no trial, pretraining or job starts with {printable(start)!r}: `lcma status` "
            "shows the ids of running and failed jobs, and the table `jobs`, read with `lcma sql`, "
            "has all"
        )
    return [job for job in matches if chosen in (job.job_id, job.subject)]


def _choose_id(ids: Collection[str], start: str, what: str) -> str | None:
    """Return the id that is ``start``, or the only id, or None; raise UserError for several."""
    if start not in ids and len(ids) > 1:
        raise UserError(f"{len(ids)} {what} start with {printable(start)!r}: give more of the id")
    return start if start in ids else next(iter(ids), None)


def means_jobs(store: Store, name: str) -> bool:
    """Return whether a name is the start of the id of a trial, pretraining or job, and no sweep's.

    Raises UserError where the id of a sweep starts with it too.
    """
    sweeps = store.sweeps()
    if not name or any(name in (sweep.name, sweep.id) for sweep in sweeps):
        return False
    matches_jobs = name.isprintable() and bool(store.job_facts(prefix=name))
    if matches_jobs and any(sweep.id.startswith(name) for sweep in sweeps):
        raise UserError(
            f"a sweep and a trial, pretraining or job start with {printable(name)!r}: give more "
            "of the id"
        )
    return matches_jobs


def job_title(job: JobFacts) -> str:
    """Return a job's name, as a launch shows it."""
    flow = f"{job.flow} {job.dataset}"
    if job.nms == "data":
        return printable(f"measure the data {job.dataset}")
    if job.kind == "pretraining":
        how = "split by split " if job.nms == "self" else ""
        return printable(f"pretrain {flow} {how}to {job.budget} seed {job.seed}")
    budget = "" if job.budget is None else f" budget {job.budget}"
    return printable(f"train {flow} {job.factorization}{budget} seed {job.seed}")


def find_sweeps(store: Store, name: str | None) -> list[Sweep]:
    """Return the sweeps of that name, or the sweep of that id, or for None the one launched last.

    The sweep that was launched last comes last. An id may be shortened. Raises UserError where no
    sweep matches, or several ids start with it.
    """
    sweeps = store.sweeps()
    if not sweeps:
        raise UserError("the database has no sweep yet: start one with `lcma launch demo`")
    if name is None:
        return sweeps[-1:]
    matches = [sweep for sweep in sweeps if sweep.name == name]
    if not matches:
        ids = {sweep.id for sweep in sweeps if name and sweep.id.startswith(name)}
        chosen = _choose_id(ids, name, "sweeps")
        matches = [sweep for sweep in sweeps if sweep.id == chosen]
    if not matches:
        hint = printable(suggest(name, sorted({s.name for s in sweeps}), "it has"))
        raise UserError(f"no sweep {printable(name)!r} in the database: {hint}")
    return matches


def find_sweep(store: Store, name: str | None) -> Sweep:
    """Return the sweep that was launched last of those that `find_sweeps` returns."""
    return find_sweeps(store, name)[-1]


def parse_object(text: str) -> dict[str, Any]:
    """Return a stored JSON object; empty where the text is not one."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def label_options(map_options: str) -> str:
    """Return options of the map as shown, such as 'score normalized' or 'rule c0536d95af1a'."""
    options = parse_object(map_options).items()
    labels = (f"{name} {str(value).removeprefix('sha256:')}" for name, value in options)
    return ", ".join(labels) or map_options


# Errors for filters that match no result

MAX_LISTED = 20
"""Values that an error lists at most."""

OTHER_SWEEP = "--sweep NAME searches another sweep"

OPTIONS = ("flow", "dataset", "factorization", "seed")
"""Columns of results with an option of their own; `--where` takes every column."""


def name_option(name: str) -> str:
    """Return what a user types before a value of a column."""
    return f"--{name} " if name in OPTIONS else f"--where {name}="


def require_results(
    store: Store,
    sweep_id: str | None,
    wanted: Mapping[str, Any],
    option: str | None = None,
    *,
    measure: str = BITS_PER_DIM,
) -> None:
    """Raise UserError where the database has results, but none with these values and the measure.

    The error lists the known values of the first column whose wanted values no result has, or says
    that no result meets all columns at once. ``option`` is the text before a value in the message,
    with a place for the column's ``name``; by default it is what `name_option` returns.
    """
    query = select_view("results", sweep_id=sweep_id, **wanted).order_by(None).limit(1)
    found = bool(store.rows(query))
    if measure != BITS_PER_DIM and measure in store.measure_kinds():
        # Its protocol may be another one than those of `results`.
        if store.cells(measure=measure, sweep_id=sweep_id, **wanted):
            return
        if found:
            which = "result of these options" if wanted else "result here"
            raise UserError(f"no {which} has {printable(measure)}: `lcma measure` may take it")
    if not wanted or found:
        return
    for name, values in wanted.items():
        is_list = isinstance(values, Collection) and not isinstance(values, str)
        values = list(values) if is_list else [values]
        known = store.result_values(name, sweep_id=sweep_id)
        if not known:
            return
        if set(values).isdisjoint(known):
            prefix = name_option(name) if option is None else option.format(name=name)
            raise make_absence_error("results", prefix, values[0], known)
    raise UserError("no results meet all of these options at once: leave one out")


def make_absence_error(
    what: str, option: str, value: object, known: Sequence[object], *, sweep: str | None = None
) -> UserError:
    """Return the error that nothing has a value, with the nearest known value or a list of all.

    ``option`` is what a user types before such a value, ``sweep`` the only sweep that was searched.
    """
    missing, *names = ("null" if v is None else printable(v) for v in (value, *known))
    more = len(names) - MAX_LISTED
    hint = f"there are {', '.join(names[:MAX_LISTED])}" + f" and {more} more" * (more > 0)
    if isinstance(value, str):  # a number is not taken for a misspelled other number
        near = suggest(value, map(str, known))
        hint = printable(near) if near.endswith("?") else hint
    where, advice = "", ""
    if sweep is not None:
        where, advice = f" in the sweep {printable(sweep)}", f"; {OTHER_SWEEP}"
    return UserError(f"no {what} with {option}{missing}{where}: {hint}{advice}")
