"""The fixed grid of pretraining budgets, so that budgets of different sweeps share one run, and the
section `tune` of a sweep file: the budgets that are searched, and by what."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lcma.sweeps import factorizations
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
from lcma.sweeps.sections import Section

_MANTISSAS = (10, 15, 20, 30, 50, 70)
_LONGEST = 10_000_000


def budget_grid(lo: int = 0, hi: int = _LONGEST) -> tuple[int, ...]:
    """Return the budgets in steps from lo to hi inclusive: 0, 10, 15, 20, 30, 50, 70, 100 ..."""
    points = [0]
    scale = 1
    while scale * _MANTISSAS[0] <= _LONGEST:
        points += [m * scale for m in _MANTISSAS]
        scale *= 10
    return tuple(p for p in points if lo <= p <= min(hi, _LONGEST))


def check_budget(budget: int) -> int:
    """Return a budget that lies on the grid. Raises UserError with its neighbours if not."""
    points = budget_grid()
    if budget in points:
        return budget
    below = [p for p in points if p < budget][-1:]
    above = [p for p in points if p > budget][:1]
    near = " or ".join(str(p) for p in (*below, *above))
    raise UserError(f"budget {budget} is not on the grid of steps: use {near}")


class BudgetRange(Section):
    """Budgets from ``low`` to ``high`` steps, both on the fixed grid."""

    low: int = Field(strict=True, ge=0, description="steps")
    high: int = Field(strict=True, ge=0, description="steps")

    @field_validator("low", "high")
    @classmethod
    def _on_the_grid(cls, steps: int) -> int:
        last = budget_grid()[-1]
        if steps > last:
            raise ValueError(f"a budget of {steps} steps is beyond the end of the grid, {last}")
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
    """Search of `lcma tune` over budgets.

    Only ``trials`` and ``parallel`` may change from one launch of a study to the next.
    """

    budget: BudgetRange = Field(description="the range of budgets to search")
    factorization: str = Field("low", description="the rule whose budget is tuned")
    trials: int = Field(20, strict=True, ge=2, description="budgets to try")
    parallel: int = Field(1, strict=True, ge=1, description="budgets at once, in one launch")
    measure: str = Field(
        BITS_PER_DIM, description="what is tuned, on the holdout part where it is taken there"
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
        if name in BY_REQUEST:
            raise ValueError(
                f"{name} is not taken when a training ends: tune by {SWD}, and take it of kept "
                f"weights with `lcma measure`"
            )
        whole = name.removeprefix(HELD_OUT)
        if whole != name and whole in {kind.name for kind in list_measures()}:
            raise ValueError(f"a study by {whole} tunes by {name} already: give {whole}")
        return name

    @property
    def tuned(self) -> str:
        """The measure that is optimized: that on the holdout part where there is one."""
        return held_out(self.measure)

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Optuna's word for which values of the measure are better."""
        return "maximize" if find_measure(self.measure).direction == "higher" else "minimize"

    @property
    def points(self) -> tuple[int, ...]:
        """Budgets of the search, ascending, and always 0."""
        return (0, *budget_grid(max(1, self.budget.low), self.budget.high))

    @property
    def most(self) -> int:
        """Number of budgets with which the study is complete."""
        return min(self.trials, len(self.points))

    def identity(self) -> dict[str, object]:
        """Return the settings that identify the search."""
        return self.model_dump(mode="json", exclude={"trials", "parallel"})
