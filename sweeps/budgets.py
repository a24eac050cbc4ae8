"""The fixed grid of pretraining budgets, so that budgets of different sweeps share one run."""

from lcma.sweeps.errors import UserError

_MANTISSAS = (10, 15, 20, 30, 50, 70)
_LONGEST = 10_000_000


def grid(lo: int = 0, hi: int = _LONGEST) -> tuple[int, ...]:
    """Return the budgets in steps from lo to hi inclusive: 0, 10, 15, 20, 30, 50, 70, 100 ..."""
    points = [0]
    scale = 1
    while scale * _MANTISSAS[0] <= _LONGEST:
        points += [m * scale for m in _MANTISSAS]
        scale *= 10
    return tuple(p for p in points if lo <= p <= min(hi, _LONGEST))


def check(budget: int) -> int:
    """Return a budget that lies on the grid. Raises UserError with its neighbours if not."""
    points = grid()
    if budget in points:
        return budget
    below = [p for p in points if p < budget][-1:]
    above = [p for p in points if p > budget][:1]
    near = " or ".join(str(p) for p in (*below, *above))
    raise UserError(f"budget {budget} is not on the grid of steps: use {near}")
