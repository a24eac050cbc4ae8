"""The curves of chosen trainings, as far as pictures can show them."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lcma.db import Curve, Store, Training
from lcma.harness.report.curves.choosing import PRETRAINING, is_conventional, label_of
from lcma.harness.report.curves.records import (
    LOST,
    Chart,
    ChartKey,
    Level,
    Line,
    LineKey,
    Panel,
    Points,
    SeedCurve,
)
from lcma.harness.report.text import plain
from lcma.sweeps.errors import UserError

MOST_CHARTS, MOST_LINES, MOST_SEEDS = 20, 12, 12
"""Pictures, lines of one and seeds of a line at most; what is left out is told."""

MOST_POINTS = 600
"""Points of a curve that are shown; more are thinned out evenly."""

_ORDER = ("low", "high", "random-local", "random", "checkerboard-even", "checkerboard-odd")
_LARGEST = 1e100
"""A value that is not below it, or no number, has no place in a picture."""

_NAMED = 6
"""Trainings that a note tells by name at most."""

Seed = tuple[int, str]
"""A seed, and the trial or pretraining that it is of."""


@dataclass(frozen=True)
class Charts:
    """All pictures; ``left_out`` says how many more there would be."""

    charts: tuple[Chart, ...]
    left_out: int


@dataclass(frozen=True)
class _Part:
    """The trainings of one picture: jobs of each seed of each line, and what was left out."""

    key: ChartKey
    lines: Mapping[LineKey, Mapping[Seed, Sequence[Training]]]
    notes: tuple[str, ...]

    @property
    def jobs(self) -> list[Training]:
        return [job for seeds in self.lines.values() for jobs in seeds.values() for job in jobs]


def read(
    store: Store,
    trainings: Sequence[Training],
    conventional: Mapping[str, str],
    name: str | None = None,
) -> Charts:
    """A chart for each flow, recipe and exact data set, with a panel for each measure, or for
    that ``name`` alone.

    Raises UserError where no chart has a curve of that name, or none has a point.
    """
    groups: dict[ChartKey, list[Training]] = defaultdict(list)
    for one in trainings:
        groups[ChartKey.of(one)].append(one)
    keys = sorted(groups, key=lambda key: [getattr(key, f) for f in key.__dataclass_fields__])
    parts = [_part(key, groups[key], conventional) for key in keys[:MOST_CHARTS]]
    known = store.curves([job.job_id for part in parts for job in part.jobs])
    names = {curve.name for curve in known}
    if not names:
        raise UserError("no curve has a point yet: `lcma status` shows how far the trainings are")
    if name is not None and name not in names:
        raise UserError(f"no curve is called {plain(name)}: there are {_listed(names)}")
    by_job: dict[str, list[Curve]] = defaultdict(list)
    for curve in known:
        if name in (None, curve.name):
            by_job[curve.job_id].append(curve)
    bars = store.bars()
    charts = []
    for part in parts:
        panels = _panels(store, part, by_job)
        levels = [
            Level(bar.name, bar.bits_per_dim)
            for bar in bars.get(part.key.data_digest, [])
            if bar.bits_per_dim is not None and math.isfinite(bar.bits_per_dim)
        ]
        if panels:
            steps = max(job.steps for job in part.jobs)
            notes = (*part.notes, *_lost(part))
            charts.append(Chart(part.key, steps, panels, tuple(levels), notes))
    return Charts(tuple(charts), len(keys) - len(parts))


def _part(key: ChartKey, trainings: Sequence[Training], conventional: Mapping[str, str]) -> _Part:
    lines: dict[LineKey, dict[Seed, list[Training]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(trainings, key=lambda one: (one.seed, one.subject, one.budget or 0)):
        line = LineKey(
            label_of(one),
            one.factorization,
            None if one.kind == PRETRAINING else one.budget,
            one.map_options,
            is_conventional(one, conventional),
        )
        lines[line][one.seed, one.subject].append(one)
    shown = _first(lines)
    notes = []
    if len(shown) < len(lines):
        notes.append(
            f"{len(shown)} of {len(lines)} lines are shown: choose others with --factorization or "
            "--budget."
        )
    most = max(len(lines[line]) for line in shown)
    if most > MOST_SEEDS:
        notes.append(f"Of up to {most} seeds of a line the first {MOST_SEEDS} are shown.")
    few = {line: dict(list(lines[line].items())[:MOST_SEEDS]) for line in shown}
    return _Part(key, few, tuple(notes))


def _first(lines: Iterable[LineKey]) -> list[LineKey]:
    """Of many lines those that are shown, in order: each factorization at its longest budget before
    any at a second one."""
    ordered = sorted(lines, key=_place)
    before: Counter[str] = Counter()
    ranked = []
    for line in ordered:
        ranked.append((before[line.label], line))
        before[line.label] += 1
    few = sorted(ranked, key=lambda one: (not one[1].conventional, one[0], _place(one[1])))
    return sorted((line for _, line in few[:MOST_LINES]), key=_place)


def _place(line: LineKey) -> tuple[object, ...]:
    """The conventional first, then what is compared with it, pretrainings last."""
    name = line.label.split(" ")[0]
    return (
        not line.conventional,
        line.factorization is None,
        _ORDER.index(name) if name in _ORDER else len(_ORDER),
        line.label,
        -(line.budget or 0),
        line.map_options or "",
    )


def _panels(store: Store, part: _Part, by_job: Mapping[str, Sequence[Curve]]) -> tuple[Panel, ...]:
    curves = [curve for job in part.jobs for curve in by_job.get(job.job_id, [])]
    panels = []
    for name in sorted({curve.name for curve in curves}):  # holdout before train
        own = {curve.job_id: curve for curve in curves if curve.name == name}
        every = max(1, math.ceil(max(curve.points for curve in own.values()) / MOST_POINTS))
        points = store.thinned_curves([curve.id for curve in own.values()], every)
        lines = []
        for key, seeds in part.lines.items():
            found = [
                _seed(seed, jobs, [own[job.job_id] for job in jobs if job.job_id in own], points)
                for seed, jobs in seeds.items()
                if any(job.job_id in own for job in jobs)
            ]
            if any(seed.points for seed in found):
                lines.append(_line(key, found))
        if lines:
            panels.append(Panel(name, tuple(lines)))
    return tuple(panels)


def _seed(
    seed: Seed,
    jobs: Sequence[Training],
    curves: Sequence[Curve],
    points: Mapping[int, Sequence[tuple[int, float]]],
) -> SeedCurve:
    """The curve of a trial, or of the segments of a pretraining one after the other."""
    at = {step: value for curve in curves for step, value in points.get(curve.id, [])}
    unfinished = [job.state for job in jobs if job.state != "done"]
    return SeedCurve(
        seed=seed[0],
        subject=seed[1],
        state=unfinished[0] if unfinished else "done",
        step=max(job.step for job in jobs),
        steps=max(job.steps for job in jobs),
        in_mean=False,
        all_points=sum(curve.points for curve in curves),
        points=tuple((step, at[step]) for step in sorted(at) if abs(at[step]) < _LARGEST),
    )


def _line(key: LineKey, seeds: Sequence[SeedCurve]) -> Line:
    drawn = [one for one in seeds if one.points and not one.lost]
    members = [one for one in drawn if one.state == "done"] or drawn
    marked = tuple(replace(one, in_mean=one in members) for one in seeds)
    return Line(key, _mean([one.points for one in members]), marked)


def _mean(curves: Sequence[Points]) -> Points:
    if not curves:
        return ()
    values = [dict(points) for points in curves]
    steps = sorted(set.intersection(*(set(of) for of in values)))
    return tuple((step, math.fsum(of[step] for of in values) / len(values)) for step in steps)


def _lost(part: _Part) -> list[str]:
    lost = [
        (plain(f"{line.name}, seed {seed}"), job)
        for line, seeds in part.lines.items()
        for (seed, _), jobs in seeds.items()
        for job in jobs
        if job.state in LOST
    ]
    if not lost:
        return []
    told = [f"{name} {job.state} at step {job.step} of {job.steps}" for name, job in lost[:_NAMED]]
    counts = Counter(job.state for _, job in lost[_NAMED:])
    more = [f"{count} more {state}" for state, count in sorted(counts.items())]
    return [f"Lost: {'; '.join([*told, *more])}."]


def _listed(names: Iterable[str]) -> str:
    return plain(", ".join(sorted(names)))
