"""Results of a study so far: a row for each of its trials and for each baseline."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState
from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from lcma.db import Store
from lcma.harness.report.board import name_measure
from lcma.harness.train.protocol import PLAIN
from lcma.harness.tuning.objective import measure_budget, measure_cost
from lcma.harness.tuning.study import BUDGET, REASON, SERVED, Study
from lcma.harness.tuning.target import StudyTarget
from lcma.sweeps.expansion import Cell, Trial
from lcma.sweeps.measures import BITS_PER_DIM
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
    rows = [
        _baseline(store, target, name, trials, digest)
        for name, trials in _by_name(target.baseline.cells).items()
    ]
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
    found = measure_budget(store, target, trials, digest) if done else None
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
        reason="",
    )


def _of_trial(
    store: Store, target: StudyTarget, trial: FrozenTrial, digest: str, longest: int
) -> StudyRow:
    attrs, measure = trial.user_attrs, target.tune.measure
    budget = int(attrs[BUDGET])
    saved = min(budget, longest)
    cost = measure_cost(store, target, target.budgets[saved].trials, digest)
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
        saved_images=target.images(saved)[0],
        reason=str(attrs.get(REASON, "")),
    )


def render_outcome(outcome: StudyOutcome) -> RenderableType:
    """Return the rows for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("budget", no_wrap=True)
    valued = any(row.values != (row.mean,) for row in outcome.rows if row.values)
    shown = name_measure(outcome.measure)
    numbers = ["n", shown, "test", "value", "seconds", "saved", "images"]
    if not valued:
        numbers.remove("value")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", overflow="fold")
    best = outcome.best
    for row in outcome.rows:
        table.add_row(
            "" if row.number is None else str(row.number),
            row.name if row.budget is None else str(row.budget),
            str(row.n),
            _float(row.mean, 4),
            _float(row.test_mean, 4),
            *((" ".join(f"{value:.4f}" for value in row.values),) if valued else ()),
            _float(row.cost_seconds, 1),
            _float(row.saved_seconds, 1),
            "-" if row.cost_images is None else str(row.cost_images),
            escape(_state(row)),
            style="bold" if best is not None and row.number == best.number else "",
        )
    return Group(Text(f"Study {outcome.study}"), table, Text(_legend(outcome)))


def _state(row: StudyRow) -> str:
    """Return Optuna's word for the state, with the reason of a failure."""
    state = row.state.lower()
    if row.reason:
        return f"{state}: {row.reason}"
    return f"{state}, served" if row.served and row.state == "COMPLETE" else state


def _legend(outcome: StudyOutcome) -> str:
    shown = name_measure(outcome.measure)
    lines = [
        f"{shown} is of the holdout part and what is optimized; test is only reported.",
        "seconds (of a device) and images: the pretraining by itself and the training, a mean",
        "over seeds; saved: seconds of that pretraining that an earlier trial had run.",
        "Budget 0 reads the map of a fresh model, which has learned nothing.",
    ]
    if outcome.objective == "pareto":
        lines.append(f"value: {shown}, and the cost in {outcome.unit}s.")
    elif outcome.weight:
        lines.append(f"value: {shown} + {outcome.weight:g} for each {outcome.unit}.")
    return "\n".join(lines)


def outcome_as_dict(outcome: StudyOutcome) -> dict[str, Any]:
    """Return the outcome as values that JSON can hold."""
    best = outcome.best
    return asdict(outcome) | {"best": None if best is None else asdict(best)}


def dashboard_url(store: Store) -> str:
    """Return the database's URL as `optuna-dashboard` takes it, without the password."""
    url = sa.make_url(store.url)
    url = url.difference_update_query(("password", "sslpassword"))
    return url._replace(password=None).render_as_string()


def _float(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
