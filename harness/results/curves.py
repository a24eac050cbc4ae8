"""Curves over training that can be compared: which a user means, and their means over seeds.

A chart holds the curves of one flow, recipe and exact data set, a panel for each metric that is
logged while a trial trains, and a line for each factorization.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice

from lcma.db import Curve, JobFacts, Store
from lcma.harness.results.board import factorization_label
from lcma.harness.results.filters import Filters, filter_jobs
from lcma.harness.results.lookup import find_jobs, find_sweep, means_jobs, read_bars
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable, short_id
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError, suggest

LOST = ("diverged", "failed")
"""States of a training that has no end."""

PRETRAINING = "pretraining"

MOST_CHARTS, MOST_LINES, MOST_SEEDS = 20, 12, 12
"""Most pictures, lines of one and seeds of a line; notes say what is left out."""

MOST_POINTS = 600
"""Most points of a curve that are shown; more are thinned out evenly."""

_BITS = "_bits_per_dim"

Points = tuple[tuple[int, float], ...]
"""Steps and values; values are numbers below 1e100."""

Band = tuple[tuple[int, float, float], ...]
"""Steps, each with its least and largest value."""


@dataclass(frozen=True, order=True)
class ChartKey:
    """Facts that all curves of a picture share."""

    dataset: str
    flow: str
    profile: str
    variant: str
    recipe_id: str
    data_digest: str

    @property
    def title(self) -> str:
        """Data set, flow and profile."""
        return printable(f"{self.dataset} ({self.variant}), {self.flow}, {self.profile}")

    @property
    def under(self) -> str:
        """Facts that keep other curves out."""
        return f"data {short_id(self.data_digest)}, recipe {short_id(self.recipe_id)}"


@dataclass(frozen=True)
class LineKey:
    """Facts that the seeds of a line share. A pretraining has no factorization."""

    label: str
    factorization: str | None
    budget: int | None
    map_options: str | None
    conventional: bool

    @property
    def name(self) -> str:
        """Name for a legend or a table."""
        found = f"{self.label}, conventional" if self.conventional else self.label
        found += "" if self.budget is None else f", budget {self.budget}"
        return printable(found if self.map_options is None else f"{found} {self.map_options}")


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
    in_mean: bool
    points: Points

    @property
    def lost(self) -> bool:
        """True if it diverged or failed."""
        return self.state in LOST


@dataclass(frozen=True)
class CurveLine:
    """Seeds of one factorization, and their mean; or its difference from the conventional line.

    ``mean`` is over those ``n`` seeds that are done, or over all that are not lost where none is,
    at the steps that all of them have; empty where there are none. ``band`` is the lowest and
    highest of them at these steps. A difference is paired by the seeds of both means; its band is
    the 95 % t-interval, empty for fewer than two, and it has no ``seeds``.
    """

    key: LineKey
    n: int
    mean: Points
    band: Band
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
class Level:
    """Bits/dim on the test part of something that any flow should beat."""

    name: str
    bits_per_dim: float


@dataclass(frozen=True)
class CurveChart:
    """One picture; ``notes`` say what is left out and which trainings were lost."""

    key: ChartKey
    steps: int
    panels: tuple[CurvePanel, ...]
    bars: tuple[Level, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CurveCharts:
    """All pictures; ``left_out`` says how many more there would be."""

    charts: tuple[CurveChart, ...]
    left_out: int


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
    requested: list[str | None] = [*names] if names else [sweep]
    for name in requested:
        jobs = _find_jobs(store, name) if names and name is not None else None
        if jobs is not None:
            some = store.job_facts(jobs, with_curves=True)
            hint = f"`lcma logs {name}` says what was done"
        else:
            chosen = find_sweep(store, name)
            some = store.job_facts(sweep_id=chosen.id, with_curves=True)
            some = [one for one in some if pretrainings or one.kind != PRETRAINING]
            newest = "last launched " if name is None else ""
            name, hint = f"the {newest}sweep {chosen.name}", "`lcma status` shows how far it is"
        if not some:
            raise UserError(f"no curve yet of {printable(name)}: {hint}")
        found |= {one.job_id: one for one in some}
    return list(found.values())


def _find_jobs(store: Store, name: str) -> list[str] | None:
    """Return the jobs of the trial, pretraining or job whose id starts so; None for a sweep."""
    if means_jobs(store, name):
        return [job.job_id for job in find_jobs(store, name)]
    sweeps = store.sweeps()
    if name and any(one.name == name or one.id.startswith(name) for one in sweeps):
        return None
    known = sorted({one.name for one in sweeps}) or ["no sweep"]
    raise UserError(
        f"nothing is called {printable(name)!r}: "
        f"{printable(suggest(name, known, 'the database has'))}; `lcma status` "
        "shows the ids of trials and pretrainings"
    )


def filter_trainings(
    trainings: Sequence[JobFacts],
    *,
    budget: int | None,
    named: Sequence[str],
    conventional: Mapping[str, str],
    filters: Filters,
) -> list[JobFacts]:
    """Return the trainings with these values.

    With ``named`` factorizations, under any of their names, those and the conventional; with a
    budget, also trainings that need none. Raises UserError where nothing is left, naming the option
    and what there is.
    """
    trainings = filter_jobs(trainings, filters, "curves")
    if budget is not None:
        trials = [one for one in trainings if one.kind == "trial"]
        known = sorted({one.budget for one in trials if one.budget is not None})
        trials = [one for one in trials if one.budget == budget]
        _require_any(trials, "budget", str(budget), [str(one) for one in known])
        trainings = [
            one for one in trainings if one.budget in (None, budget) or one.kind != "trial"
        ]
    if named:
        there = sorted({label_training(one) for one in trainings})
        present = {one.factorization for one in trainings} | {PRETRAINING}
        requested = {n if n in present else factorizations.normalize(n) for n in named}
        wanted = [one for one in trainings if requested & _names_of(one, conventional)]
        _require_any(wanted, "factorization", ", ".join(sorted(requested)), there)
        shared = {(one.recipe_id, one.data_digest) for one in wanted}
        trainings = [
            one
            for one in trainings
            if (one.recipe_id, one.data_digest) in shared
            and (requested & _names_of(one, conventional) or is_conventional(one, conventional))
        ]
    return list(trainings)


def read_conventional(store: Store, trainings: Iterable[JobFacts]) -> dict[str, str]:
    """Return what was, or is by default, run as the conventional factorization of each recipe."""
    flows, shipped = {one.recipe_id: one.flow for one in trainings}, catalog.flows()
    names = {
        one.id: one.conventional or shipped.get(flows[one.id])
        for one in store.recipes(flows).values()
    }
    return {recipe: name for recipe, name in names.items() if name is not None}


def is_conventional(one: JobFacts, conventional: Mapping[str, str]) -> bool:
    """Return whether a training is one of the conventional factorization."""
    return one.factorization is not None and one.factorization == conventional.get(one.recipe_id)


def label_training(one: JobFacts) -> str:
    """Return a factorization's name for people, or that of a pretraining."""
    if one.factorization is not None:
        return factorization_label(one.factorization)
    return PRETRAINING if one.nms == "squeezed" else f"{PRETRAINING} ({one.nms})"


def _names_of(one: JobFacts, conventional: Mapping[str, str]) -> set[str]:
    found = {label_training(one).split(" ")[0]}
    if one.factorization is not None:
        found.add(one.factorization)
    if one.factorization == "checkerboard-even":
        found.add("checkerboard")
    if is_conventional(one, conventional):
        found.add("conventional")
    return found


def _require_any(
    remaining: Sequence[JobFacts], option: str, value: str, there: Sequence[str]
) -> None:
    if not remaining:
        hint = printable(suggest(value, there or ["none"], "there are"))
        raise UserError(f"no curves with --{option} {printable(value)}: {hint}")


# The curves of chosen trainings, as far as pictures can show them

_ORDER = ("low", "high", "random-local", "random", "checkerboard-even", "checkerboard-odd")

LARGEST = 1e100
"""A value that is not below this, or is no number, is not drawn."""

_NAMED = 6
"""Most trainings that a note names."""

Lines = Mapping[LineKey, Mapping[tuple[int, str], Sequence[JobFacts]]]
"""Jobs by line, and by seed and trial or pretraining."""


def read_charts(
    store: Store,
    trainings: Sequence[JobFacts],
    conventional: Mapping[str, str],
    name: str | None = None,
) -> CurveCharts:
    """Return a chart for each flow, recipe and exact data set, with a panel for each metric.

    With ``name``, only the panel of that metric. Raises UserError where no chart has a curve of
    that name, or none has a point.
    """
    groups: dict[ChartKey, list[JobFacts]] = defaultdict(list)
    for one in trainings:
        groups[ChartKey(*(getattr(one, f.name) for f in fields(ChartKey)))].append(one)
    bars, names, charts = read_bars(store), set[str](), []
    for key in sorted(groups)[:MOST_CHARTS]:
        lines, notes = _choose_seeds(groups[key], conventional)
        jobs = [job for seeds in lines.values() for some in seeds.values() for job in some]
        curves = store.curves([job.job_id for job in jobs])
        names |= {curve.name for curve in curves}
        panels = _read_panels(store, lines, [c for c in curves if name in (None, c.name)])
        if panels:
            levels = [(one.name, one.bits_per_dim) for one in bars.get(key.data_digest, [])]
            charts.append(
                CurveChart(
                    key=key,
                    steps=max(job.steps for job in jobs),
                    panels=panels,
                    bars=tuple(
                        Level(bar, bits)
                        for bar, bits in levels
                        if bits is not None and math.isfinite(bits)
                    ),
                    notes=(*notes, *_lost_notes(lines)),
                )
            )
    if not names:
        raise UserError("no curve has a point yet: `lcma status` shows how far the trainings are")
    if name is not None and name not in names:
        there = printable(", ".join(sorted(names)))
        raise UserError(f"no curve is called {printable(name)}: there are {there}")
    return CurveCharts(tuple(charts), max(0, len(groups) - MOST_CHARTS))


def _choose_seeds(
    trainings: Sequence[JobFacts], conventional: Mapping[str, str]
) -> tuple[Lines, list[str]]:
    """Return what is shown of trainings, and notes on what is left out."""
    lines: dict[LineKey, dict[tuple[int, str], list[JobFacts]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for one in sorted(trainings, key=lambda one: (one.seed, one.subject, one.budget or 0)):
        line = LineKey(
            label_training(one),
            one.factorization,
            None if one.kind == PRETRAINING else one.budget,
            one.map_options,
            is_conventional(one, conventional),
        )
        lines[line][one.seed, one.subject].append(one)
    shown = choose_lines(lines)
    notes = []
    if len(shown) < len(lines):
        notes.append(
            f"{len(shown)} of {len(lines)} lines are shown: choose others with --factorization or "
            "--budget."
        )
    most = max(len(lines[line]) for line in shown)
    if most > MOST_SEEDS:
        notes.append(f"Of up to {most} seeds of a line the first {MOST_SEEDS} are shown.")
    return {line: dict(islice(lines[line].items(), MOST_SEEDS)) for line in shown}, notes


def choose_lines(lines: Iterable[LineKey], most: int = MOST_LINES) -> list[LineKey]:
    """Return so many lines at most, in the order in which they are shown.

    Each factorization comes at its longest budget before any comes at a second one.
    """
    ordered = sorted(lines, key=_line_order)
    before: Counter[str] = Counter()
    ranked = []
    for line in ordered:
        ranked.append((before[line.label], line))
        before[line.label] += 1
    few = sorted(ranked, key=lambda one: (not one[1].conventional, one[0], _line_order(one[1])))
    return sorted((line for _, line in few[:most]), key=_line_order)


def _line_order(line: LineKey) -> tuple[object, ...]:
    name = line.label.split(" ")[0]
    return (
        not line.conventional,
        line.factorization is None,
        _ORDER.index(name) if name in _ORDER else len(_ORDER),
        line.label,
        -(line.budget or 0),
        line.map_options or "",
    )


def _read_panels(store: Store, lines: Lines, curves: Sequence[Curve]) -> tuple[CurvePanel, ...]:
    panels = []
    for name in sorted({curve.name for curve in curves}):  # holdout before train
        own = {curve.job_id: curve for curve in curves if curve.name == name}
        every = max(1, math.ceil(max(curve.points for curve in own.values()) / MOST_POINTS))
        points = store.points([curve.key for curve in own.values()], every=every)
        by_job = {job_id: points.get(curve.key, []) for job_id, curve in own.items()}
        found = [
            _average(key, [_join(*one, by_job) for one in seeds.items()])
            for key, seeds in lines.items()
        ]
        found = [line for line in found if any(seed.points for seed in line.seeds)]
        if found:
            differences = subtract_conventional(found) if name.endswith(_BITS) else ()
            panels.append(CurvePanel(name, tuple(found), tuple(differences)))
    return tuple(panels)


def _join(
    seed: tuple[int, str],
    jobs: Sequence[JobFacts],
    points: Mapping[str, Sequence[tuple[int, float]]],
) -> SeedCurve | None:
    """Return the curve of a trial, or of the segments of a pretraining one after the other."""
    if not any(job.job_id in points for job in jobs):
        return None
    at = {step: value for job in jobs for step, value in points.get(job.job_id, [])}
    return SeedCurve(
        seed=seed[0],
        subject=seed[1],
        state=next((job.state for job in jobs if job.state != "done"), "done"),
        step=max(job.step for job in jobs),
        steps=max(job.steps for job in jobs),
        in_mean=False,
        points=tuple((step, at[step]) for step in sorted(at) if abs(at[step]) < LARGEST),
    )


def _average(key: LineKey, found: Sequence[SeedCurve | None]) -> CurveLine:
    seeds = [one for one in found if one is not None]
    drawn = [one for one in seeds if one.points and not one.lost]
    members = [one for one in drawn if one.state == "done"] or drawn
    at = _by_step([dict(one.points) for one in members])
    return CurveLine(
        key=key,
        n=len(members),
        mean=tuple((step, math.fsum(values) / len(values)) for step, values in at),
        band=tuple((step, min(values), max(values)) for step, values in at),
        seeds=tuple(replace(one, in_mean=one in members) for one in seeds),
    )


def _by_step(curves: Sequence[Mapping[int, float]]) -> list[tuple[int, list[float]]]:
    """Return the values of curves at the steps that all of them have."""
    steps = sorted(set.intersection(*map(set, curves))) if curves else []
    return [(step, [curve[step] for curve in curves]) for step in steps]


def subtract_conventional(lines: Sequence[CurveLine]) -> Iterator[CurveLine]:
    """Yield the differences of lines from the conventional one among them, paired by seed."""
    base = next((line for line in lines if line.key.conventional), None)
    own = {one.seed: dict(one.points) for one in base.seeds if one.in_mean} if base else {}
    for line in lines:
        pairs = [(dict(s.points), own[s.seed]) for s in line.seeds if s.in_mean and s.seed in own]
        if line is base or not pairs:
            continue
        found = [
            (step, summarize(values))
            for step, values in _by_step(
                [{k: one[k] - other[k] for k in one.keys() & other.keys()} for one, other in pairs]
            )
        ]
        yield CurveLine(
            key=line.key,
            n=len(pairs),
            mean=tuple((step, one.mean) for step, one in found),
            band=tuple(
                (step, one.low, one.high)
                for step, one in found
                if one.low is not None and one.high is not None
            ),
        )


def _lost_notes(lines: Lines) -> list[str]:
    lost = [
        (printable(f"{line.name}, seed {seed}"), job)
        for line, seeds in lines.items()
        for (seed, _), jobs in seeds.items()
        for job in jobs
        if job.state in LOST
    ]
    if not lost:
        return []
    named = [f"{name} {job.state} at step {job.step} of {job.steps}" for name, job in lost[:_NAMED]]
    counts = Counter(job.state for _, job in lost[_NAMED:])
    more = [f"{count} more {state}" for state, count in sorted(counts.items())]
    return [f"Lost: {'; '.join([*named, *more])}."]
