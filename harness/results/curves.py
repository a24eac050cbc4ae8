"""Curves over training that can be compared: which a user means, and their means over seeds.

A chart holds the curves of one flow, recipe and exact data set, a panel for each metric that is
logged while a trial trains, and a line for each factorization.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter

from lcma.db import Curve, JobFacts, Store, Sweep
from lcma.harness.results.board import factorization_label
from lcma.harness.results.filters import Filters, filter_records
from lcma.harness.results.lookup import (
    find_jobs,
    label_options,
    make_absence_error,
    means_jobs,
    read_bars,
)
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable, short_id
from lcma.sweeps.errors import UserError

LOST_STATES = ("diverged", "failed")
"""States of a training that ended without a result."""

PRETRAINING = "pretraining"

MAX_LINES = 12
"""Lines that a picture shows at most."""

MAX_POINTS = 600
"""Points of a curve that are shown at most; more are thinned out evenly."""

MAX_VALUE = 1e100
"""A value is drawn only if its size is below this."""

KEY_FACTS = ("dataset", "flow", "profile", "variant", "recipe_id", "data_digest")
"""Facts that all curves of a picture share."""

_BITS = "_bits_per_dim"

Points = tuple[tuple[int, float], ...]
"""Steps and values; values are numbers below 1e100."""

Band = tuple[tuple[int, float, float], ...]
"""Steps, each with its least and largest value."""


@dataclass(frozen=True)
class SeedCurve:
    """The curve of one training."""

    seed: int
    subject: str  # id of the trial or pretraining
    state: str
    step: int
    steps: int
    points: Points
    in_mean: bool = False  # the mean of its line includes it

    @property
    def lost(self) -> bool:
        """True if the training diverged or failed."""
        return self.state in LOST_STATES


@dataclass(frozen=True)
class CurveLine:
    """The seeds of one factorization and their mean, or its difference from the conventional line.

    A difference is paired by the seeds of both means and has no ``seeds``.
    """

    name: str  # for a legend
    factorization: str | None  # None for a pretraining
    budget: int | None
    map_options: str | None
    conventional: bool
    n: int = 0  # seeds of the mean: those that are done or, where none is, all that are not lost
    mean: Points = ()  # at the steps that all these seeds have
    band: Band = ()  # lowest and highest seed; of a difference the 95 % t-interval
    seeds: tuple[SeedCurve, ...] = ()


@dataclass(frozen=True)
class CurvePanel:
    """One metric."""

    name: str  # as it is stored
    lines: tuple[CurveLine, ...]
    differences: tuple[CurveLine, ...] = ()  # in bits/dim, from the conventional line

    @property
    def part(self) -> str | None:
        """Part of the images that bits/dim are of; None for another metric."""
        return self.name.removesuffix(_BITS) if self.name.endswith(_BITS) else None

    @property
    def label(self) -> str:
        """Name with its unit."""
        plain = printable(self.name).replace("_", " ")
        return plain if self.part is None else f"bits/dim, {self.part}"


@dataclass(frozen=True)
class CurveChart:
    """One picture."""

    key: Mapping[str, str]  # the facts `KEY_FACTS`
    steps: int
    panels: tuple[CurvePanel, ...]
    bars: Mapping[str, float]  # bits/dim on the test part of the simple baselines, by name
    notes: tuple[str, ...]  # what is left out, and which trainings were lost

    @property
    def title(self) -> str:
        """Data set, flow and profile."""
        return printable("{dataset} ({variant}), {flow}, {profile}".format_map(self.key))

    @property
    def subtitle(self) -> str:
        """Subtitle: the facts that separate these curves from others."""
        data, recipe = short_id(self.key["data_digest"]), short_id(self.key["recipe_id"])
        return f"data {data}, recipe {recipe}, {self.steps} training steps"


# Choosing trainings by sweeps, ids and filters


def choose_trainings(
    store: Store,
    names: Sequence[str],
    sweep: str | None,
    *,
    pretrainings: bool,
    find: Callable[[Store, str | None], Sweep],
) -> list[JobFacts]:
    """Return the named trainings that have curves, by default all.

    A name is that of a sweep, or the first characters of the id of a sweep, trial, pretraining or
    job. Pretrainings of a sweep are left out unless ``pretrainings`` is set. ``find`` returns the
    sweep of a name. Raises UserError for an unknown name, and where no named training has a curve
    yet.
    """
    if names and sweep is not None:
        raise UserError("names and --sweep exclude each other: leave one out")
    trainings: dict[str, JobFacts] = {}
    requested: list[str | None] = [*names] or [sweep]
    for name in requested:
        if names and name is not None and means_jobs(store, name):
            ids = [job.job_id for job in find_jobs(store, name)]
            jobs = store.job_facts(ids, with_curves=True)
            source, hint = f" of {name}", f"`lcma logs {name}` says what was done"
        else:
            chosen = None if name is None and store.sweeps() else find(store, name)
            jobs = store.job_facts(sweep_id=None if chosen is None else chosen.id, with_curves=True)
            jobs = [job for job in jobs if pretrainings or job.kind != PRETRAINING]
            source = "" if chosen is None else f" of the sweep {chosen.name}"
            hint = "`lcma status` shows how far trainings are"
        if not jobs:
            raise UserError(f"no curve yet{printable(source)}: {hint}")
        # A result stays while its trial is run anew, and where that run is lost.
        trainings |= {
            job.job_id: replace(job, state="done", step=job.steps) if job.done_attempt_id else job
            for job in jobs
        }
    return list(trainings.values())


def filter_trainings(
    trainings: Sequence[JobFacts],
    filters: Filters,
    budget: int | None,
    conventional: Mapping[str, str],
    sweep: str | None = None,
) -> list[JobFacts]:
    """Return the trainings with these values, and the conventional ones to compare them with.

    ``conventional`` is the rule by recipe id, ``sweep`` the name of the only sweep that was
    searched, for errors. With a budget, trainings that need none are kept too. Raises UserError
    where nothing is left, naming the option and the values that exist.
    """
    other_filters = {name: values for name, values in filters.items() if name != "factorization"}
    candidates = filter_records(trainings, other_filters, "curves", sweep=sweep)
    chosen = filter_records(candidates, filters, "curves", sweep=sweep)
    chosen_ids = {job.job_id for job in chosen}
    bases = {(job.recipe_id, job.data_digest, conventional.get(job.recipe_id)) for job in chosen}
    read_rule = attrgetter("recipe_id", "data_digest", "factorization")
    trainings = [job for job in candidates if job.job_id in chosen_ids or read_rule(job) in bases]
    if budget is None:
        return trainings
    trials = (job for job in trainings if job.kind != PRETRAINING)
    budgets = {trial.budget for trial in trials if trial.budget is not None}
    if budget not in budgets:
        choices: list[object] = [*sorted(budgets)] or ["none"]
        raise make_absence_error("curves", "--budget ", budget, choices, sweep=sweep)
    return [job for job in trainings if job.budget in (budget, None) or job.kind == PRETRAINING]


# The curves of chosen trainings, as pictures show them

_ORDER = ("low", "high", "random-local", "random", "checkerboard-even", "checkerboard-odd")

_read_key = attrgetter(*KEY_FACTS)


def count_charts(trainings: Iterable[JobFacts]) -> int:
    """Return the number of charts that the curves of trainings take."""
    return len({_read_key(training) for training in trainings})


def read_charts(
    store: Store,
    trainings: Sequence[JobFacts],
    conventional: Mapping[str, str],
    name: str | None = None,
) -> list[CurveChart]:
    """Return a chart for each flow, recipe and exact data set, with a panel for each metric.

    With ``name``, charts have only the panel of that metric. Raises UserError where no chart has a
    curve of that name, or no curve has a point.
    """
    bars, names, charts = read_bars(store), set[str](), []
    for key, members in groupby(sorted(trainings, key=_read_key), key=_read_key):
        every = _list_lines(members, conventional)
        # Lines that need no budget are shown first, then those of the longest budgets.
        ranked = sorted(every, key=lambda line: (line.budget is not None, -(line.budget or 0)))
        lines = {line: jobs for line, jobs in every.items() if line in ranked[:MAX_LINES]}
        jobs = [job for line_jobs in lines.values() for job in line_jobs]
        curves = store.curves([job.job_id for job in jobs])
        names |= {curve.name for curve in curves}
        panels = _read_panels(store, lines, [c for c in curves if name in (None, c.name)])
        if not panels:
            continue
        levels = {bar.name: bar.bits_per_dim for bar in bars.get(key[-1], ())}
        charts.append(
            CurveChart(
                key=dict(zip(KEY_FACTS, key, strict=True)),
                steps=max(job.steps for job in jobs),
                panels=panels,
                bars={k: v for k, v in levels.items() if v is not None and math.isfinite(v)},
                notes=tuple(_list_notes(lines, len(every))),
            )
        )
    if not names:
        raise UserError("no curve has a point yet: `lcma status` shows how far the trainings are")
    if name is not None and name not in names:
        listed = printable(", ".join(sorted(names)))
        raise UserError(f"no curve is called {printable(name)}: there are {listed}")
    return charts


def _list_lines(
    trainings: Iterable[JobFacts], conventional: Mapping[str, str]
) -> dict[CurveLine, list[JobFacts]]:
    """Return the lines of a chart in order, still without values, and their jobs by seed."""
    lines: dict[CurveLine, list[JobFacts]] = {}
    for job in sorted(trainings, key=lambda job: (job.seed, job.subject, job.budget or 0)):
        rule, budget = job.factorization, job.budget
        if rule is None:
            is_conventional, budget = False, None
            name = PRETRAINING if job.nms == "squeezed" else f"{PRETRAINING} ({job.nms})"
        else:
            is_conventional = rule == conventional.get(job.recipe_id)
            name = f"{factorization_label(rule)}{', conventional' * is_conventional}"
        name += "" if budget is None else f", budget {budget}"
        name += "" if job.map_options is None else f" {label_options(job.map_options)}"
        line = CurveLine(name, rule, budget, job.map_options, is_conventional)
        lines.setdefault(line, []).append(job)
    return {line: lines[line] for line in sorted(lines, key=_rank_line)}


def _rank_line(line: CurveLine) -> tuple[object, ...]:
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
        if job.state in LOST_STATES
    ]
    if lost:
        yield printable(f"Lost: {'; '.join(lost)}.")


def _read_panels(
    store: Store, lines: Mapping[CurveLine, Sequence[JobFacts]], curves: Sequence[Curve]
) -> tuple[CurvePanel, ...]:
    panels = []
    for name in sorted({curve.name for curve in curves}):  # holdout before train
        job_curves = {curve.job_id: curve for curve in curves if curve.name == name}
        every = max(1, math.ceil(max(curve.points for curve in job_curves.values()) / MAX_POINTS))
        points = store.points([curve.key for curve in job_curves.values()], every=every)
        by_job = {job_id: points.get(curve.key, []) for job_id, curve in job_curves.items()}
        averaged = [_average(line, _join_segments(jobs, by_job)) for line, jobs in lines.items()]
        if any(seed.points for line in averaged for seed in line.seeds):
            differences = _subtract_conventional(averaged) if name.endswith(_BITS) else ()
            panels.append(CurvePanel(name, tuple(averaged), tuple(differences)))
    return tuple(panels)


def _join_segments(
    jobs: Sequence[JobFacts], points: Mapping[str, Sequence[tuple[int, float]]]
) -> Iterator[SeedCurve]:
    """Yield the curves of trials, or of the segments of a pretraining one after the other."""
    for (seed, subject), segments in groupby(jobs, key=attrgetter("seed", "subject")):
        members = list(segments)
        if any(job.job_id in points for job in members):
            values = {step: v for job in members for step, v in points.get(job.job_id, [])}
            yield SeedCurve(
                seed=seed,
                subject=subject,
                state=next((job.state for job in members if job.state != "done"), "done"),
                step=max(job.step for job in members),
                steps=max(job.steps for job in members),
                points=tuple(
                    (step, values[step]) for step in sorted(values) if abs(values[step]) < MAX_VALUE
                ),
            )


def _average(line: CurveLine, curves: Iterable[SeedCurve]) -> CurveLine:
    seeds = list(curves)
    drawn = [seed for seed in seeds if seed.points and not seed.lost]
    members = [seed for seed in drawn if seed.state == "done"] or drawn
    by_step = _group_by_step([dict(seed.points) for seed in members])
    return replace(
        line,
        n=len(members),
        mean=tuple((step, math.fsum(values) / len(values)) for step, values in by_step.items()),
        band=tuple((step, min(values), max(values)) for step, values in by_step.items()),
        seeds=tuple(replace(seed, in_mean=seed in members) for seed in seeds),
    )


def _group_by_step(curves: Sequence[Mapping[int, float]]) -> dict[int, list[float]]:
    """Return the values of curves at the steps that all of them have."""
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    return {step: [curve[step] for curve in curves] for step in steps}


def _subtract_conventional(lines: Sequence[CurveLine]) -> Iterator[CurveLine]:
    """Yield each line minus the conventional one, paired by seed."""
    bases = [line for line in lines if line.conventional]
    base = bases[0] if len(bases) == 1 else None  # a plug-in's rule may have several versions
    base_seeds = {s.seed: dict(s.points) for s in base.seeds if s.in_mean} if base else {}
    for line in lines:
        pairs = [(s, base_seeds[s.seed]) for s in line.seeds if s.in_mean and s.seed in base_seeds]
        if line is base or not pairs:
            continue
        gaps = [{k: v - other[k] for k, v in seed.points if k in other} for seed, other in pairs]
        summaries = {step: summarize(values) for step, values in _group_by_step(gaps).items()}
        ends = ((step, summary.low, summary.high) for step, summary in summaries.items())
        yield replace(
            line,
            n=len(pairs),
            mean=tuple((step, summary.mean) for step, summary in summaries.items()),
            band=tuple((k, a, b) for k, a, b in ends if a is not None and b is not None),
            seeds=(),
        )
