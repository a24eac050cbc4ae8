"""The grid of pretraining budgets, and the section `tune` of a sweep file.

All budgets are on one fixed grid, so that different sweeps share the runs of pretrainings.
"""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    HOLDOUT_PREFIX,
    REQUESTED_MEASURES,
    SWD,
    find_holdout_measure,
    find_measure,
    list_measures,
)
from lcma.sweeps.sections import Section

_MANTISSAS = (10, 15, 20, 30, 50, 70)
_MAX_BUDGET = 10_000_000


def budget_grid(low: int = 0, high: int = _MAX_BUDGET) -> tuple[int, ...]:
    """Return the budgets of the grid from low to high: 0, 10, 15, 20, 30, 50, 70, 100 ... steps."""
    budgets = [0, *(m * 10**exponent for exponent in range(7) for m in _MANTISSAS)]
    return tuple(budget for budget in budgets if low <= budget <= min(high, _MAX_BUDGET))


def check_budget(budget: int) -> int:
    """Return a budget that is on the grid. Raises UserError with its neighbours if it is not."""
    grid = budget_grid()
    if budget in grid:
        return budget
    below = [other for other in grid if other < budget][-1:]
    above = [other for other in grid if other > budget][:1]
    near = " or ".join(str(other) for other in (*below, *above))
    raise UserError(f"budget {budget} is not on the grid of steps: use {near}")


class BudgetRange(Section):
    """Range of budgets, from ``low`` to ``high`` steps, both on the grid."""

    low: int = Field(strict=True, ge=0, description="steps")
    high: int = Field(strict=True, ge=0, description="steps")

    @field_validator("low", "high")
    @classmethod
    def _on_the_grid(cls, steps: int) -> int:
        try:
            return check_budget(steps)
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"the range from {self.low} to {self.high} is empty: give low below high"
            )
        return self


class Tune(Section):
    """Search over budgets by `lcma tune`. A study can change only ``trials`` and ``parallel``."""

    budget: BudgetRange = Field(description="the range of budgets to search")
    factorization: str = Field("low", description="the rule whose budget is tuned")
    trials: int = Field(20, strict=True, ge=2, description="budgets to try")
    parallel: int = Field(1, strict=True, ge=1, description="budgets at once, in one launch")
    measure: str = Field(
        BITS_PER_DIM,
        description="measure to optimize, on the holdout part if it exists there",
    )

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
        if name in REQUESTED_MEASURES:
            raise ValueError(
                f"{name} is not taken at the end of a training: tune by {SWD}, and take {name} of "
                f"kept weights with `lcma measure`"
            )
        base = name.removeprefix(HOLDOUT_PREFIX)
        if base != name and base in {kind.name for kind in list_measures()}:
            raise ValueError(f"a study by {base} already optimizes {name}: give {base}")
        return name

    @property
    def tuned_measure(self) -> str:
        """The measure that is optimized: the one on the holdout part, if it exists."""
        return find_holdout_measure(self.measure)

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Direction of the measure, as Optuna names it."""
        return "maximize" if find_measure(self.measure).direction == "higher" else "minimize"

    @property
    def budgets(self) -> tuple[int, ...]:
        """Budgets of the search, ascending; always with 0."""
        return (0, *budget_grid(max(1, self.budget.low), self.budget.high))

    @property
    def trial_count(self) -> int:
        """Number of budgets after which the study is complete."""
        return min(self.trials, len(self.budgets))

    def identity(self) -> dict[str, object]:
        """Return the settings that identify the search."""
        return self.model_dump(mode="json", exclude={"trials", "parallel"})
