"""A reproduction, as text and as JSON."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from rich.console import Group
from rich.text import Text

from lcma.harness.launch.reproduction import Reproduction
from lcma.harness.results.board import name_unit
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.show.tables import TableColumn, render_table, tabulate
from lcma.harness.text import format_count, printable
from lcma.sweeps.measures import BITS_PER_DIM


def render_reproduction(found: Reproduction) -> Group:
    """Return what came out, the other measures, and in what the environments differ."""
    table = tabulate(
        [row for row in _list_measures(found) if row["name"] != BITS_PER_DIM],
        TableColumn("measure", of=itemgetter("name")),
        TableColumn("unit", of=lambda row: name_unit(row["unit"])),
        TableColumn("stored", kind="number", places=6, of=itemgetter("stored")),
        TableColumn("again", kind="number", places=6, of=itemgetter("again")),
        TableColumn(
            "difference",
            right=True,
            of=lambda row: "equal" if row["equal"] else f"{row['difference']:+.2g}",
        ),
    )
    below = []
    if found.uncompared:
        names = ", ".join(found.uncompared)
        below.append(f"not compared, since only one has them: {names}")
    if found.other_tables:
        splits = ", ".join(map(str, found.other_tables))
        why = "" if found.trial.pretraining_id is None else ": its maps did not come out again"
        below.append(f"index tables differ at split {splits}, so this is another model{why}")
    return Group(
        Text(printable(describe_trial(found.trial))),
        *(Text(printable(line), style="bold") for line in describe_outcome(found)),
        render_table(table),
        *(Text(printable(line)) for line in (*below, *_describe_environments(found))),
    )


def _list_measures(found: Reproduction) -> list[dict[str, Any]]:
    return [
        {"stored": one.stored.value, "again": one.again.value}
        | {name: getattr(one, name) for name in ("name", "unit", "difference", "equal")}
        for one in found.comparisons
    ]


def _describe_environments(found: Reproduction) -> Iterator[str]:
    for whose, made, again in (
        ("", found.made, found.made_again),
        ("maps' ", found.maps_made, found.maps_made_again),
    ):
        for name, then in made.items():
            if then != (now := again.get(name)):
                before, after = ("none" if one is None else one for one in (then, now))
                yield f"{whose}{name}: {before} then, {after} now"


def describe_outcome(found: Reproduction) -> Iterator[str]:
    """Yield bits/dim then and now, whether the numbers came out again, and what differs most."""
    bits, spread = found.bits_per_dim, found.spread
    seeds = format_count(len(found.other_seeds), "other seed")
    beside = "too few for a spread" if spread is None else f"standard deviation {spread:.4f}"
    yield (
        f"bits/dim of the test part: {bits.stored.value:.6f} then, {bits.again.value:.6f} now, "
        f"difference {bits.difference:+.2g}; {seeds}, {beside}"
    )
    whose = "all compared measures are " if found.uncompared else "all measures are "
    yield f"{whose if found.equal else ''}{found.outcome}"
    if found.largest_difference:
        one, most = found.largest, f"{found.largest_difference:.2g} bits/dim"
        own = "" if one.unit == bits.unit else f"{abs(one.difference):.2g} {one.unit}, "
        yield f"the largest difference is that of {one.name}: {own}{most}"


def reproduction_as_dict(found: Reproduction) -> dict[str, Any]:
    """Return a reproduction as JSON values."""
    plain = (
        *("equal", "largest_difference", "tolerance", "device", "threads"),
        *("outcome", "same_environment", "spread", "uncompared"),
    )
    made = ("made", "made_again", "maps_made", "maps_made_again")
    return {
        "trial": trial_as_dict(found.trial),
        **{name: getattr(found, name) for name in plain},
        "verified": found.good,
        "other_seeds": len(found.other_seeds),
        "other_tables": list(found.other_tables),
        "largest_difference_of": found.largest.name if found.largest.difference else None,
        "measures": _list_measures(found),
        **{name: dict(getattr(found, name)) for name in made},
    }
