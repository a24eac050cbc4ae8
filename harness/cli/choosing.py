"""What several verbs say where nothing is left of a choice."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sweeps.errors import UserError

if TYPE_CHECKING:
    from db import Store


def require_results(store: "Store", sweep_id: str | None, wanted: Mapping[str, str]) -> None:
    """UserError for the first of the wanted values that no result has, with those there are."""
    from harness.report.text import plain

    if not wanted:
        return
    everything = store.results(sweep_id=sweep_id)
    for name, value in wanted.items():
        known = sorted(set(everything[name]))
        if known and value not in known:
            raise UserError(
                f"no results with --{name} {plain(value)}: there are {plain(', '.join(known))}"
            )
