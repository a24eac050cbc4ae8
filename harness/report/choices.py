"""What several verbs say where nothing is left of a choice."""

from collections.abc import Collection, Mapping
from typing import Any

from lcma.db import Store
from lcma.harness.report.text import plain
from lcma.sweeps.errors import UserError

LISTED = 20
"""Values that are named at most."""


def require_results(
    store: Store, sweep_id: str | None, wanted: Mapping[str, Any], option: str = "--{name} "
) -> None:
    """UserError where no result has the wanted values, though there are results: for the first that
    none has, with those there are, or because none has all of them at once.

    Of several values of a column one is enough. ``option`` is how a column is asked for.
    """
    if not wanted or store.has_results(sweep_id=sweep_id, **wanted):
        return
    for name, asked in wanted.items():
        several = isinstance(asked, Collection) and not isinstance(asked, str)
        values = list(asked) if several else [asked]
        known = store.result_values(name, sweep_id=sweep_id)
        if not known:
            return
        for value in values:
            if value not in known:
                said = option.format(name=name) + plain("null" if value is None else value)
                raise UserError(f"no results with {said}: there are {_listed(known)}")
    raise UserError("no results meet all of these options at once: leave one out")


def _listed(values: Collection[object]) -> str:
    named = ["null" if value is None else plain(value) for value in list(values)[:LISTED]]
    more = len(values) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
