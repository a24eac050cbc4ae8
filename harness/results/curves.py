"""Curves over training that can be compared: which a user means, and their means over seeds.

A chart holds the curves of one flow, recipe and exact data set, a panel for each metric that is
logged while a trial trains, and a line for each factorization.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from lcma.db import Curve, JobFacts, Store
from lcma.harness.results.board import factorization_label
from lcma.harness.results.filters import Filters, filter_records
from lcma.harness.results.lookup import (
    find_jobs,
    find_sweep,
    make_absence_error,
    means_jobs,
    read_bars,
)
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable, short_id
from lcma.sweeps.errors import UserError

LOST = ("diverged", "failed")
"""States of a training that has no end."""

PRETRAINING = "pretraining"

MOST_LINES = 12
"""Most lines of a picture."""

MOST_POINTS = 600
"""Most points of a curve that are shown; more are thinned out evenly."""

LARGEST = 1e100
"""A value that is not below this, or is no number, is not drawn."""

KEY = ("dataset", "flow", "profile", "variant", "recipe_id", "data_digest")
"""What all curves of a picture have in common."""

_BITS = "_bits_per_dim"

Points = tuple[tuple[int, float], ...]
"""Steps and values; values are numbers below 1e100."""

Band = tuple[tuple[int, float, float], ...]
"""Steps, each with its least and largest value."""


@dataclass(frozen=True)
class SeedCurve:
    """The curve of one training.

    ``subject`` is its trial or pretraining. ``in_mean`` says whether it is one of those that the
    mean is over.
    """

    seed: int
    subject: str
    state: str
    step: int
    steps: int
    points: Points
    in_mean: bool = False

    @property
    def lost(self) -> bool:
        """True if it diverged or failed."""
        return self.state in LOST


@dataclass(frozen=True)
class CurveLine:
    """Seeds of one factorization, and their mean; or its difference from the conventional line.

    ``name`` is for a legend; a pretraining has no factorization. ``mean`` is over those ``n`` seeds
    that are done, or over all that are not lost where none is, at the steps that all of them have;
    empty where there are none. ``band`` is the lowest and highest of them at these steps. A
    difference is paired by the seeds of both means; its band is the 95 % t-interval, empty for
    fewer than two, and it has no ``seeds``.
    """

    name: str
    factorization: str | None
    budget: int | None
    map_options: str | None
    conventional: bool
    n: int = 0
    mean: Points = ()
    band: Band = ()
    seeds: tuple[SeedCurve, ...] = ()


@dataclass(frozen=True)
class CurvePanel:
    """One metric: ``name`` as it is stored.

    ``differences`` are those of bits/dim from the conventional line; empty where there is none.
    """

    name: str
    lines: tuple[CurveLine, ...]
    differences: tuple[CurveLine, ...] = ()

    @property
    def part(self) -> str | None:
        """Part of the images that bits/dim are of, None for another metric."""
        return self.name.removesuffix(_BITS) if self.name.endswith(_BITS) else None

    @property
    def label(self) -> str:
        """Name with its unit."""
        plain = printable(self.name).replace("_", " ")
        return plain if self.part is None else f"bits/dim, {self.part}"


@dataclass(frozen=True)
class CurveChart:
    """One picture.

    ``key`` has the facts that all its curves share, ``bars`` the bits/dim on the test part of what
    any flow should beat. ``notes`` say what is left out and which trainings were lost.
    """

    key: Mapping[str, str]
    steps: int
    panels: tuple[CurvePanel, ...]
    bars: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Data set, flow and profile."""
        return printable("{dataset} ({variant}), {flow}, {profile}".format_map(self.key))

    @property
    def under(self) -> str:
        """Facts that keep other curves out."""
        data, recipe = short_id(self.key["data_digest"]), short_id(self.key["recipe_id"])
        return f"data {data}, recipe {recipe}, {self.steps} training steps"


# The trainings that a user means: by sweeps, ids and filters


def choose_trainings(
    store: Store, names: Sequence[str], sweep: str | None, *, pretrainings: bool
) -> list[JobFacts]:
    """Return the trainings with curves that are named, of the sweep launched last where nothing is.

    A name is that of a sweep, or the first characters of the id of a sweep, trial, pretraining or
    job. Pretrainings of a sweep are left out unless ``pretrainings`` is set. Raises UserError for a
    name that nothing has, and where nothing has a curve yet.
    """
    if names and sweep is not None:
        raise UserError("names and --sweep exclude each other: leave one out")
    found: dict[str, JobFacts] = {}
    requested: list[str | None] = [*names] or [sweep]
    for name in requested:
        if names and name is not None and means_jobs(store, name):
            some = store.job_facts([job.job_id for job in find_jobs(store, name)], with_curves=True)
            what, hint = name, f"`lcma logs {name}` says what was done"
        else:
            chosen = find_sweep(store, name)
            some = store.job_facts(sweep_id=chosen.id, with_curves=True)
            some = [one for one in some if pretrainings or one.kind != PRETRAINING]
            newest = "last launched " if name is None else ""
            what, hint = f"the {newest}sweep {chosen.name}", "`lcma status` shows how far it is"
        if not some:
            raise UserError(f"no curve yet of {printable(what)}: {hint}")
        found |= {one.job_id: one for one in some}
    return list(found.values())


def filter_trainings(
    trainings: Sequence[JobFacts],
    filters: Filters,
    budget: int | None,
    conventional: Mapping[str, str],
) -> list[JobFacts]:
    """Return the trainings with these values; of factorizations, the conventional beside them too.

    With a budget there are also trainings that need none. Raises UserError where nothing is left,
    naming the option and what there is.
    """
    others = {name: values for name, values in filters.items() if name != "factorization"}
    there = filter_records(trainings, others, "curves")
    found = filter_records(there, filters, "curves")
    chosen = {one.job_id for one in found}
    beside = {(one.recipe_id, one.data_digest, conventional.get(one.recipe_id)) for one in found}
    own = attrgetter("recipe_id", "data_digest", "factorization")
    found = [one for one in there if one.job_id in chosen or own(one) in beside]
    if budget is None:
        return found
    trials = (one for one in found if one.kind != PRETRAINING)
    budgets = {one.budget for one in trials if one.budget is not None}
    if budget not in budgets:
        raise make_absence_error("curves", "--budget ", budget, sorted(budgets) or ["none"])
    return [one for one in found if one.budget in (budget, None) or one.kind == PRETRAINING]


# The curves of chosen trainings, as far as pictures can show them

_ORDER = ("low", "high", "random-local", "random", "checkerboard-even", "checkerboard-odd")

_read_key = attrgetter(*KEY)


def read_charts(
    store: Store,
    trainings: Sequence[JobFacts],
    conventional: Mapping[str, str],
    name: str | None = None,
) -> list[CurveChart]:
    """Return a chart for each flow, recipe and exact data set, with a panel for each metric.

    With ``name``, only the panel of that metric. Raises UserError where no chart has a curve of
    that name, or none has a point.
    """
    bars, names, charts = read_bars(store), set[str](), []
    for key, own in groupby(sorted(trainings, key=_read_key), key=_read_key):
        every = _list_lines(own, conventional)
        # Those first that need no budget, then those with the longest.
        ranked = sorted(every, key=lambda one: (one.budget is not None, -(one.budget or 0)))
        lines = {one: jobs for one, jobs in every.items() if one in ranked[:MOST_LINES]}
        jobs = [job for some in lines.values() for job in some]
        curves = store.curves([job.job_id for job in jobs])
        names |= {curve.name for curve in curves}
        panels = _read_panels(store, lines, [c for c in curves if name in (None, c.name)])
        if not panels:
            continue
        levels = {bar.name: bar.bits_per_dim for bar in bars.get(key[-1], ())}
        charts.append(
            CurveChart(
                key=dict(zip(KEY, key, strict=True)),
                steps=max(job.steps for job in jobs),
                panels=panels,
                bars={k: v for k, v in levels.items() if v is not None and math.isfinite(v)},
                notes=tuple(_list_notes(lines, len(every))),
            )
        )
    if not names:
        raise UserError("no curve has a point yet: `lcma status` shows how far the trainings are")
    if name is not None and name not in names:
        there = printable(", ".join(sorted(names)))
        raise UserError(f"no curve is called {printable(name)}: there are {there}")
    return charts


def _list_lines(
    trainings: Iterable[JobFacts], conventional: Mapping[str, str]
) -> dict[CurveLine, list[JobFacts]]:
    """Return the lines of a chart as shown, still without values, and their jobs by seed."""
    lines: dict[CurveLine, list[JobFacts]] = {}
    for one in sorted(trainings, key=lambda one: (one.seed, one.subject, one.budget or 0)):
        rule, budget = one.factorization, one.budget
        if rule is None:
            own, budget = False, None
            name = PRETRAINING if one.nms == "squeezed" else f"{PRETRAINING} ({one.nms})"
        else:
            own = rule == conventional.get(one.recipe_id)
            name = f"{factorization_label(rule)}{', conventional' * own}"
        name += "" if budget is None else f", budget {budget}"
        name += "" if one.map_options is None else f" {one.map_options}"
        line = CurveLine(name, rule, budget, one.map_options, own)
        lines.setdefault(line, []).append(one)
    return {line: lines[line] for line in sorted(lines, key=_place_line)}


def _place_line(line: CurveLine) -> tuple[object, ...]:
    pretraining = line.factorization is None
    label = factorization_label(line.factorization or PRETRAINING)
    name = label.split(" ")[0]
    place = _ORDER.index(name) if name in _ORDER else len(_ORDER)
    return not line.conventional, pretraining, place, label, -(line.budget or 0), line.name


def _list_notes(lines: Mapping[CurveLine, Sequence[JobFacts]], every: int) -> Iterator[str]:
    if len(lines) < every:
        yield (
            f"{len(lines)} of {every} lines are shown: choose others with --factorization or "
            "--budget."
        )
    lost = [
        f"{line.name}, seed {job.seed} {job.state} at step {job.step} of {job.steps}"
        for line, jobs in lines.items()
        for job in jobs
        if job.state in LOST
    ]
    if lost:
        yield printable(f"Lost: {'; '.join(lost)}.")


def _read_panels(
    store: Store, lines: Mapping[CurveLine, Sequence[JobFacts]], curves: Sequence[Curve]
) -> tuple[CurvePanel, ...]:
    panels = []
    for name in sorted({curve.name for curve in curves}):  # holdout before train
        own = {curve.job_id: curve for curve in curves if curve.name == name}
        every = max(1, math.ceil(max(curve.points for curve in own.values()) / MOST_POINTS))
        points = store.points([curve.key for curve in own.values()], every=every)
        by_job = {job_id: points.get(curve.key, []) for job_id, curve in own.items()}
        found = [_average(line, _join_segments(jobs, by_job)) for line, jobs in lines.items()]
        if any(seed.points for line in found for seed in line.seeds):
            differences = _subtract_conventional(found) if name.endswith(_BITS) else ()
            panels.append(CurvePanel(name, tuple(found), tuple(differences)))
    return tuple(panels)


def _join_segments(
    jobs: Sequence[JobFacts], points: Mapping[str, Sequence[tuple[int, float]]]
) -> Iterator[SeedCurve]:
    """Yield the curves of trials, or of the segments of a pretraining one after the other."""
    for (seed, subject), segments in groupby(jobs, key=attrgetter("seed", "subject")):
        own = list(segments)
        if any(job.job_id in points for job in own):
            at = {step: value for job in own for step, value in points.get(job.job_id, [])}
            yield SeedCurve(
                seed=seed,
                subject=subject,
                state=next((job.state for job in own if job.state != "done"), "done"),
                step=max(job.step for job in own),
                steps=max(job.steps for job in own),
                points=tuple((step, at[step]) for step in sorted(at) if abs(at[step]) < LARGEST),
            )


def _average(line: CurveLine, found: Iterable[SeedCurve]) -> CurveLine:
    seeds = list(found)
    drawn = [one for one in seeds if one.points and not one.lost]
    members = [one for one in drawn if one.state == "done"] or drawn
    at = _by_step([dict(one.points) for one in members])
    return replace(
        line,
        n=len(members),
        mean=tuple((step, math.fsum(values) / len(values)) for step, values in at.items()),
        band=tuple((step, min(values), max(values)) for step, values in at.items()),
        seeds=tuple(replace(one, in_mean=one in members) for one in seeds),
    )


def _by_step(curves: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    """Return the values of curves at the steps that all of them have."""
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    return {step: [curve[step] for curve in curves] for step in steps}


def _subtract_conventional(lines: Sequence[CurveLine]) -> Iterator[CurveLine]:
    """Yield the differences of lines from the conventional one among them, paired by seed."""
    base = next((line for line in lines if line.conventional), None)
    own = {one.seed: dict(one.points) for one in base.seeds if one.in_mean} if base else {}
    for line in lines:
        pairs = [(one, own[one.seed]) for one in line.seeds if one.in_mean and one.seed in own]
        if line is base or not pairs:
            continue
        apart = [{k: v - other[k] for k, v in one.points if k in other} for one, other in pairs]
        found = {step: summarize(values) for step, values in _by_step(apart).items()}
        ends = ((step, one.low, one.high) for step, one in found.items())
        yield replace(
            line,
            n=len(pairs),
            mean=tuple((step, one.mean) for step, one in found.items()),
            band=tuple((k, a, b) for k, a, b in ends if a is not None and b is not None),
            seeds=(),
        )
