"""Results of a study so far: a row for each of its trials and for each baseline."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any

import sqlalchemy as sa
import yaml
from optuna.trial import FrozenTrial, TrialState
from rich.console import Group, RenderableType
from rich.text import Text

from lcma.db import Store
from lcma.harness.results.board import ENOUGH, name_measure
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.train.protocol import PLAIN
from lcma.harness.tuning.objective import explain_unmeasured, measure_budget, measure_cost
from lcma.harness.tuning.patterns import PATTERN
from lcma.harness.tuning.study import BUDGET, REASON, SERVED, Study
from lcma.harness.tuning.target import StudyTarget, count_images
from lcma.sweeps import settings
from lcma.sweeps.expansion import Cell, Trial
from lcma.sweeps.measures import BITS_PER_DIM, find_measure, held_out
from lcma.sweeps.tuning import UNITS


@dataclass(frozen=True)
class StudyRow:
    """A trial of the study, or a baseline (``number`` None).

    ``mean`` and ``test_mean``, of the study's measure, and costs are means over ``n`` seeds;
    ``saved`` is the part of the stand-alone pretraining that an earlier trial had run.
    """

    number: int | None
    name: str
    budget: int | None
    n: int
    state: str
    served: bool | None
    values: tuple[float, ...]
    mean: float | None
    test_mean: float | None
    cost_seconds: float | None
    cost_images: int | None
    saved_seconds: float | None
    saved_images: int | None
    reason: str


@dataclass(frozen=True)
class StudyOutcome:
    """All rows of a study, the baselines first."""

    study: str
    unit: str
    weight: float
    objective: str
    rows: tuple[StudyRow, ...]
    measure: str = BITS_PER_DIM

    @property
    def best(self) -> StudyRow | None:
        """The row with the best value; None if the study has two values, or no trial is done."""
        done = [r for r in self.rows if r.number is not None and r.state == "COMPLETE"]
        if self.objective == "pareto" or not done:
            return None
        return min(done, key=lambda row: row.values[0])


def read_outcome(store: Store, target: StudyTarget, digest: str) -> StudyOutcome:
    """Return the outcome of a target's study, which must exist."""
    tune = target.tune
    rows = _baselines(store, target, digest)
    longest = 0
    for trial in Study.read(store, target.spec.name):
        if trial.state == TrialState.WAITING or BUDGET not in trial.user_attrs:
            continue
        row = _of_trial(store, target, trial, digest, longest)
        longest = max(longest, row.budget or 0)
        rows.append(row)
    return StudyOutcome(
        target.spec.name,
        UNITS[tune.cost][1],
        tune.cost_weight,
        tune.objective,
        tuple(rows),
        tune.measure,
    )


def _baselines(store: Store, target: StudyTarget, digest: str) -> list[StudyRow]:
    return [
        _baseline(store, target, name, trials, digest)
        for name, trials in _by_name(target.baseline.cells).items()
    ]


def _by_name(cells: Sequence[Cell]) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = {}
    for cell in cells:
        if cell.trial is not None and cell.same_as is None:
            found.setdefault(cell.factorization, []).append(cell.trial)
    return found


def _baseline(
    store: Store, target: StudyTarget, name: str, trials: Sequence[Trial], digest: str
) -> StudyRow:
    done = all(store.result(trial.id, digest, PLAIN.name) for trial in trials)
    lack = explain_unmeasured(store, target, trials, digest)
    found = measure_budget(store, target, trials, digest) if done and not lack else None
    return StudyRow(
        number=None,
        name=name,
        budget=None,
        n=len(trials),
        state="COMPLETE" if found else "missing",
        served=None,
        values=tuple(found.values(target.tune)) if found else (),
        mean=found.mean if found else None,
        test_mean=found.test_mean if found else None,
        cost_seconds=found.cost.training_seconds if found else None,
        cost_images=found.cost.training_images if found else None,
        saved_seconds=0.0 if found else None,
        saved_images=0 if found else None,
        reason=lack,
    )


def _of_trial(
    store: Store, target: StudyTarget, trial: FrozenTrial, digest: str, longest: int
) -> StudyRow:
    attrs, measure = trial.user_attrs, target.tune.measure
    budget = int(attrs[BUDGET])
    saved = min(budget, longest)
    shorter = target.parts[saved].trials
    cost = measure_cost(store, shorter, digest)
    return StudyRow(
        number=trial.number,
        name=target.tune.factorization,
        budget=budget,
        n=target.seeds,
        state=trial.state.name,
        served=attrs.get(SERVED),
        values=tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else (),
        mean=attrs.get(measure),
        test_mean=attrs.get(f"test_{measure}"),
        cost_seconds=attrs.get("cost_seconds"),
        cost_images=attrs.get("cost_images"),
        saved_seconds=cost.pretraining_seconds if saved else 0.0,
        saved_images=count_images(shorter[0])[0],
        reason=str(attrs.get(REASON, "")),
    )


@dataclass(frozen=True)
class PatternRow:
    """A pattern of a search: its value at each rung that it reached, by steps.

    ``rung`` is the last of them, None before the first; values are means over ``n`` seeds.
    """

    pattern: str
    n: int
    state: str
    rung: int | None
    values: dict[int, float]
    reason: str


@dataclass(frozen=True)
class RungSummary:
    """What a rung found: how many patterns, and the best, median and worst of their values."""

    steps: int
    patterns: int
    best: float
    median: float
    worst: float


@dataclass(frozen=True)
class PatternOutcome:
    """A search over patterns, those that came furthest first; ``baselines`` are at the last rung.

    ``seeds`` are those of the search, ``steps`` the lengths of all its rungs; ``rungs`` has those
    with a value.
    """

    study: str
    measure: str
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    rungs: tuple[RungSummary, ...]
    rows: tuple[PatternRow, ...]
    baselines: tuple[StudyRow, ...]

    @property
    def best(self) -> PatternRow | None:
        """The best pattern at the last rung; None before it is complete."""
        done = [row for row in self.rows if row.state == "COMPLETE"]
        return done[0] if done else None


def read_patterns(store: Store, target: StudyTarget, digest: str) -> PatternOutcome:
    """Return the outcome of a search over patterns, whose study must exist."""
    sign, rows = target.tune.sign, {}
    for trial in Study.read(store, target.spec.name):  # of one that was put back the last counts
        values = {step: sign * value for step, value in sorted(trial.intermediate_values.items())}
        name = trial.user_attrs[PATTERN]
        rows[name] = PatternRow(
            pattern=name,
            n=target.seeds,
            state=trial.state.name,
            rung=max(values, default=None),
            values=values,
            reason=str(trial.user_attrs.get(REASON, "")),
        )

    def place(row: PatternRow) -> tuple[float, float, str]:
        if row.rung is None:
            return 0, 0, row.pattern
        return -row.rung, sign * row.values[row.rung], row.pattern

    assert target.tune.patterns is not None
    rungs = []
    for steps in target.tune.patterns.rungs:
        at = sorted(sign * row.values[steps] for row in rows.values() if steps in row.values)
        if at:
            best, middle, worst = (sign * v for v in (at[0], statistics.median(at), at[-1]))
            rungs.append(RungSummary(steps, len(at), best, middle, worst))
    return PatternOutcome(
        study=target.spec.name,
        measure=target.tune.measure,
        seeds=tuple(trial.seed for trial in next(iter(target.parts.values())).trials),
        steps=target.tune.patterns.rungs,
        rungs=tuple(rungs),
        rows=tuple(sorted(rows.values(), key=place)),
        baselines=tuple(_baselines(store, target, digest)),
    )


def render_patterns(outcome: PatternOutcome) -> RenderableType:
    """Return the rungs and the patterns that came furthest for a terminal."""
    shown, held = name_measure(outcome.measure), _has_holdout(outcome.measure)
    where = "on the holdout part" if held else f"({find_measure(outcome.measure).meaning})"
    summary = Table(
        columns=(
            *(TableColumn(name, kind="number") for name in ("steps", "patterns")),
            *(_number(name, 4) for name in ("best", "median", "worst")),
        ),
        rows=tuple((r.steps, r.patterns, r.best, r.median, r.worst) for r in outcome.rungs),
        title=f"Study {outcome.study}",
    )
    patterns = (
        (row.pattern, *map(row.values.get, outcome.steps), _word(row.state, row.reason))
        for row in outcome.rows[:_FURTHEST]
    )
    baselines = (
        (base.name, *("" for _ in outcome.steps[1:]), base.mean, _word(base.state, base.reason))
        for base in outcome.baselines
    )
    columns = (
        TableColumn("pattern"),
        *(_number(str(s), 4) for s in outcome.steps),
        TableColumn("state"),
    )
    table = Table(columns, rows=(*patterns, *baselines))
    left = len(outcome.rows) - _FURTHEST
    legend = (
        f"{shown} {where} after so many steps, each a training of its own, over "
        f"{len(outcome.seeds)} seed{'s' * (len(outcome.seeds) > 1)}."
        + (f" {left} patterns that came less far are in --json." if left > 0 else "")
    )
    return Group(render_table(summary), Text(), render_table(table), Text(legend))


_FURTHEST = 12
"""Patterns that a terminal shows."""


def finals_spec(target: StudyTarget, outcome: PatternOutcome, most: int = 3) -> str:
    """Return a sweep file that judges what a search found by seeds that it has not seen.

    It has the best patterns, as many of the worst at the first rung, and the base lines.
    """
    first = outcome.rungs[0].steps
    ranked = [row for row in outcome.rows if row.state != "FAIL" and first in row.values]
    worst = sorted(ranked, key=lambda row: target.tune.sign * row.values[first])[-most:]
    names = [row.pattern for row in (*ranked[:most], *worst)]
    matrix = target.spec.matrix
    unseen = (seed for seed in count() if seed not in outcome.seeds)
    content: dict[str, Any] = {
        "name": f"{target.spec.name}-finals",
        "matrix": {
            "flow": matrix.flow[0],
            "dataset": matrix.dataset[0],
            "factorization": list(dict.fromkeys(("conventional", *matrix.factorization, *names))),
        },
        "profile": target.spec.profile,
        "seeds": list(islice(unseen, ENOUGH)),
    }
    (overlay,) = matrix.recipe or ({},)
    if recipe := settings.merge(target.spec.recipe, overlay):
        content["recipe"] = recipe
    if target.spec.plugins:
        content["plugins"] = list(target.spec.plugins)
    return yaml.safe_dump(content, sort_keys=False, default_flow_style=None)


def render_outcome(outcome: StudyOutcome) -> RenderableType:
    """Return the rows for a terminal."""
    held = _has_holdout(outcome.measure)
    valued = any(row.values != (row.mean,) for row in outcome.rows if row.values)
    columns = (
        TableColumn("trial", kind="number"),
        TableColumn("budget"),
        TableColumn("n", kind="number"),
        _number(name_measure(outcome.measure), 4),
        *((_number("test", 4),) if held else ()),
        *((TableColumn("value", right=True),) if valued else ()),
        _number("seconds", 1),
        _number("saved", 1),
        TableColumn("images", kind="number"),
        TableColumn("state"),
    )
    best, rows = outcome.best, []
    styles: dict[tuple[int, int], str] = {}
    for i, row in enumerate(outcome.rows):
        number = "" if row.number is None else row.number
        budget = row.name if row.budget is None else row.budget
        values = [" ".join(f"{value:.4f}" for value in row.values)] if valued else []
        means = row.n, row.mean, *((row.test_mean,) if held else ())
        costs = row.cost_seconds, row.saved_seconds, row.cost_images
        rows.append((number, budget, *means, *values, *costs, _state(row)))
        if best is not None and row.number == best.number:
            styles |= {(i, j): "bold" for j in range(len(columns))}
    table = Table(columns, tuple(rows), title=f"Study {outcome.study}", styles=styles)
    return Group(render_table(table, compact=True), Text(_legend(outcome)))


def _has_holdout(measure: str) -> bool:
    """Return whether a study by a measure takes it on the holdout part."""
    return held_out(measure) != measure


def _number(name: str, places: int) -> TableColumn:
    return TableColumn(name, kind="number", places=places)


def _state(row: StudyRow) -> str:
    served = row.served and row.state == "COMPLETE"
    return f"{_word(row.state, row.reason)}{', served' * bool(served)}"


def _word(state: str, reason: str) -> str:
    """Return Optuna's word for the state, with the reason of a failure."""
    return f"{state.lower()}: {reason}" if reason else state.lower()


def _legend(outcome: StudyOutcome) -> str:
    shown = name_measure(outcome.measure)
    if _has_holdout(outcome.measure):
        first = f"{shown} is of the holdout part and what is optimized; test is only reported."
    else:
        meaning = find_measure(outcome.measure).meaning
        first = f"{shown} is what is optimized, and not of the holdout part: {meaning}."
    lines = [
        first,
        # One line, which the terminal wraps at its own width.
        "seconds (of a device) and images: the pretraining by itself and the training, a mean "
        "over seeds; saved: seconds of that pretraining that an earlier trial had run.",
        "Budget 0 reads the map of a fresh model, which has learned nothing.",
    ]
    if outcome.objective == "pareto":
        lines.append(f"value: {shown}, and the cost in {outcome.unit}s.")
    elif outcome.weight:
        lines.append(f"value: {shown} + {outcome.weight:g} for each {outcome.unit}.")
    return "\n".join(lines)


def outcome_as_dict(outcome: StudyOutcome | PatternOutcome) -> dict[str, Any]:
    """Return the outcome as values that JSON can hold."""
    best = outcome.best
    return asdict(outcome) | {"best": None if best is None else asdict(best)}


def dashboard_url(store: Store) -> str:
    """Return the database's URL as `optuna-dashboard` takes it, without the password."""
    url = sa.make_url(store.url)
    url = url.difference_update_query(("password", "sslpassword"))
    return url._replace(password=None).render_as_string()
