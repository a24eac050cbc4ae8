"""The end of leases: decided here alone, for records and in SQL, by the database's clock.

`now` is always the time by that clock: `Store.now()`, or `Database.clock` inside a transaction. The
clocks of workers may differ from it.
"""

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import sqlalchemy as sa


@overload
def is_held(lease_until: float | None, now: float) -> bool: ...
@overload
def is_held(lease_until: "sa.ColumnElement[Any]", now: float) -> "sa.ColumnElement[bool]": ...
def is_held(lease_until: Any, now: float) -> Any:
    """Return whether a lease still holds.

    Args:
        lease_until: When it ends, Unix seconds; None for no lease. A column gives the condition
            in SQL.
        now: The time by the database's clock, Unix seconds.
    """
    return False if lease_until is None else lease_until > now


def is_over(lease_until: float, now: float) -> bool:
    """Return whether a lease has ended; `seconds_left` is then not positive."""
    return not is_held(lease_until, now)


def seconds_left(lease_until: float, now: float) -> float:
    """Return for how many seconds a lease still holds; negative since it is over."""
    return lease_until - now
