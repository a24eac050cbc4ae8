"""The section `tune` of a sweep file: what is searched, objective and stop rule."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from lcma.sweeps import budgets, factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    BY_REQUEST,
    HELD_OUT,
    SWD,
    find_measure,
    held_out,
    list_measures,
)
from lcma.sweeps.sections import Section, Seeds

Objective = Literal["weighted", "pareto"]
Sampler = Literal["tpe", "gp", "grid"]
Pruner = Literal["median", "halving"]
Unit = Literal["images", "seconds"]

UNITS: dict[Unit, tuple[float, str]] = {
    "images": (1e6, "million images"),
    "seconds": (3600.0, "device hour"),
}
"""Units of cost: images or seconds in one unit, and its name."""

RUNG_EVERY = 10
"""Rungs are multiples of so many steps: only there can a training leave a checkpoint and end."""


class BudgetRange(Section):
    """Budgets from ``low`` to ``high`` steps, both on the fixed grid."""

    low: int = Field(strict=True, ge=0, description="steps")
    high: int = Field(strict=True, ge=0, description="steps")

    @field_validator("low", "high")
    @classmethod
    def _on_the_grid(cls, steps: int) -> int:
        last = budgets.grid()[-1]
        if steps > last:
            raise ValueError(f"a budget of {steps} steps is beyond the end of the grid, {last}")
        try:
            return budgets.check(steps)
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"the range from {self.low} to {self.high} is empty: give low below high"
            )
        return self


class Stop(Section):
    """Rule that stops trials early, at steps (rungs) of the training.

    ``startup`` is the number of first trials that `median` lets pass. From each rung, `halving`
    lets one in ``reduction`` trials go on.
    """

    rungs: tuple[Annotated[int, Field(strict=True, gt=0, multiple_of=RUNG_EVERY)], ...] = Field(
        min_length=1, description="steps at which a trial may end"
    )
    pruner: Pruner = Field("median", description="the rule that ends trials at rungs")
    startup: int = Field(3, strict=True, ge=1, description="first trials that `median` lets pass")
    reduction: int = Field(2, strict=True, ge=2, description="`halving` lets one in so many go on")

    @field_validator("rungs")
    @classmethod
    def _in_order(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        return _require_ascending(rungs)


def _require_ascending(rungs: tuple[int, ...]) -> tuple[int, ...]:
    if list(rungs) != sorted(set(rungs)):
        raise ValueError("rungs are steps in ascending order, each once")
    return rungs


class PatternSearch(Section):
    """Successive halving over the patterns that fit the recipe.

    All are trained to the first of ``rungs``; one in ``reduction`` goes on, the best on the holdout
    part, and is trained anew to the next, until the last.
    """

    rungs: tuple[Annotated[int, Field(strict=True, gt=0)], ...] = Field(
        min_length=1, description="lengths of training in steps, each with a schedule of its own"
    )
    reduction: int = Field(3, strict=True, ge=2, description="one in so many goes on from a rung")
    count: Annotated[int, Field(strict=True, ge=2)] | None = Field(
        None, description="patterns to begin with, drawn by chance; default: all"
    )

    @field_validator("rungs")
    @classmethod
    def _in_order(cls, rungs: tuple[int, ...]) -> tuple[int, ...]:
        return _require_ascending(rungs)


FIRST_SEARCH_SEED = 1000
"""Seed of searches over patterns, so that those from 0 on can judge what was found."""

OF_BUDGETS = ("factorization", "trials", "objective", "cost_weight", "cost", "sampler", "stop")
"""Settings that a search over patterns does not have."""


class Tune(Section):
    """Search of `lcma tune`, over budgets or over patterns.

    Only ``trials``, ``cost_hours`` and ``parallel`` may change from one launch of a study to the
    next.
    """

    budget: BudgetRange | None = Field(None, description="the range of budgets to search")
    patterns: PatternSearch | None = Field(
        None, description="in its place: successive halving over patterns"
    )
    factorization: str = Field("low", description="the rule whose budget is tuned")
    seeds: Seeds | None = Field(
        None, description="for each budget or pattern; default: the spec's, or 1000 for patterns"
    )
    trials: int = Field(20, strict=True, ge=2, description="budgets to try")
    cost_hours: float | None = Field(
        None,
        gt=0,
        description="device hours of all tuners of the study, after which no more is asked for",
    )
    parallel: int = Field(
        1, strict=True, ge=1, description="tasks at once: budgets, or parts of a rung"
    )
    measure: str = Field(
        BITS_PER_DIM, description="what is tuned, on the holdout part where it is taken there"
    )
    objective: Objective = Field(
        "weighted", description="the measure plus its weighted cost, or both as a front"
    )
    cost_weight: float = Field(
        0.0, ge=0, description="what a million images, or a device hour, are worth"
    )
    cost: Unit = Field("images", description="the unit of cost")
    sampler: Sampler = Field("tpe", description="Optuna's sampler")
    stop: Stop | None = Field(None, description="end trials early")

    @field_validator("factorization")
    @classmethod
    def _known(cls, name: str) -> str:
        if factorizations.is_wildcard(name):
            raise ValueError(f"one factorization is tuned, and {name!r} stands for several")
        try:
            return factorizations.normalize(name)
        except UserError as error:
            raise ValueError(str(error)) from None

    @field_validator("measure")
    @classmethod
    def _ranked(cls, name: str) -> str:
        try:
            kind = find_measure(name)
        except UserError as error:
            raise ValueError(str(error)) from None
        if kind.direction is None:
            raise ValueError(f"no values of {name} are better than others: give another measure")
        if name in BY_REQUEST:
            raise ValueError(
                f"{name} is not taken when a training ends: tune by {SWD}, and take it of kept "
                f"weights with `lcma measure`"
            )
        whole = name.removeprefix(HELD_OUT)
        if whole != name and whole in {kind.name for kind in list_measures()}:
            raise ValueError(
                f"a study by {whole} tunes by {name} already, give {whole}: its column `test` is "
                "of the test part"
            )
        return name

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.budget is None) == (self.patterns is None):
            raise ValueError("a search is over `budget` or over `patterns`: give one of them")
        if self.patterns is not None:
            for name in OF_BUDGETS:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(
                        f"`{name}` is for a search over `budget`, and this one is over `patterns`: "
                        "leave it out"
                    )
        if self.stop is not None and self.measure != BITS_PER_DIM:
            raise ValueError(
                f"`stop` with `measure: {self.measure}`: on the way only bits/dim are known; leave "
                "one of them out"
            )
        if self.objective == "pareto":
            if self.stop is not None:
                raise ValueError(
                    "`stop` with `objective: pareto`: Optuna has no early stopping for several "
                    "objectives; leave it out, or give `objective: weighted`"
                )
            if self.cost_weight:
                raise ValueError(
                    "`cost_weight` with `objective: pareto`: there cost is an objective of its "
                    "own; leave it out, or give `objective: weighted`"
                )
        if self.sampler == "grid" and self.trials < len(self.points):
            raise ValueError(
                f"`sampler: grid` asks for each of the {len(self.points)} budgets once: give "
                f"`trials: {len(self.points)}`, or a smaller range"
            )
        return self

    @property
    def tuned(self) -> str:
        """The measure that is optimized: that on the holdout part where there is one."""
        return held_out(self.measure)

    @property
    def sign(self) -> int:
        """-1 where higher values are better, since Optuna minimizes, else 1."""
        return -1 if find_measure(self.measure).direction == "higher" else 1

    @property
    def points(self) -> tuple[int, ...]:
        """Budgets of the search, ascending, and always 0; none in one over patterns."""
        if self.budget is None:
            return ()
        inside = budgets.grid(max(1, self.budget.low), self.budget.high)
        return (0, *inside)

    @property
    def most(self) -> int:
        """Number of budgets with which the study is complete."""
        return min(self.trials, len(self.points))

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps of the training at which trials may be stopped, ascending; none without `stop`."""
        return () if self.stop is None else self.stop.rungs

    def identity(self) -> dict[str, object]:
        """Return the settings that identify the search."""
        found = self.model_dump(mode="json", exclude={"trials", "cost_hours", "parallel"})
        if self.measure == BITS_PER_DIM:
            del found["measure"]  # as in studies from before there was a choice
        if self.patterns is None:
            del found["patterns"]
            return found
        return {name: value for name, value in found.items() if name not in ("budget", *OF_BUDGETS)}
