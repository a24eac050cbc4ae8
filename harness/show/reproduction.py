"""A reproduction as text and as JSON."""

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


def render_reproduction(reproduction: Reproduction) -> Group:
    """Return the outcome, the measures other than bits/dim, and differences of environments."""
    table = tabulate(
        [row for row in _list_measures(reproduction) if row["name"] != BITS_PER_DIM],
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
    if reproduction.uncompared:
        names = ", ".join(reproduction.uncompared)
        below.append(f"not compared, because only one training has them: {names}")
    if reproduction.other_tables:
        splits = ", ".join(map(str, reproduction.other_tables))
        why = "" if reproduction.trial.pretraining_id is None else ", because its maps differ"
        below.append(f"index tables differ at split {splits}{why}: this is another model")
    return Group(
        Text(printable(describe_trial(reproduction.trial))),
        *(Text(printable(line), style="bold") for line in describe_outcome(reproduction)),
        render_table(table),
        *(Text(printable(line)) for line in (*below, *_describe_environments(reproduction))),
    )


def _list_measures(reproduction: Reproduction) -> list[dict[str, Any]]:
    return [
        {"stored": pair.stored.value, "again": pair.again.value}
        | {name: getattr(pair, name) for name in ("name", "unit", "difference", "equal")}
        for pair in reproduction.comparisons
    ]


def _describe_environments(reproduction: Reproduction) -> Iterator[str]:
    for whose, made, again in (
        ("", reproduction.made, reproduction.made_again),
        ("maps' ", reproduction.maps_made, reproduction.maps_made_again),
    ):
        for name, then in made.items():
            if then != (now := again.get(name)):
                before, after = ("none" if value is None else value for value in (then, now))
                yield f"{whose}{name}: {before} then, {after} now"


def describe_outcome(reproduction: Reproduction) -> Iterator[str]:
    """Yield bits/dim then and now, whether all measures are equal, and the largest difference."""
    bits, spread = reproduction.bits_per_dim, reproduction.spread
    seeds = format_count(len(reproduction.other_seeds), "other seed")
    deviation = "too few for a spread" if spread is None else f"standard deviation {spread:.4f}"
    yield (
        f"bits/dim of the test part: {bits.stored.value:.6f} then, {bits.again.value:.6f} now, "
        f"difference {bits.difference:+.2g}; {seeds}, {deviation}"
    )
    measures = "all compared measures are " if reproduction.uncompared else "all measures are "
    yield f"{measures if reproduction.equal else ''}{reproduction.outcome}"
    if reproduction.largest_difference:
        pair, in_bits = reproduction.largest, f"{reproduction.largest_difference:.2g} bits/dim"
        in_unit = "" if pair.unit == bits.unit else f"{abs(pair.difference):.2g} {pair.unit}, "
        yield f"the largest difference is that of {pair.name}: {in_unit}{in_bits}"


def reproduction_as_dict(reproduction: Reproduction) -> dict[str, Any]:
    """Return a reproduction as JSON values."""
    plain = (
        *("equal", "largest_difference", "tolerance", "device", "threads"),
        *("outcome", "same_environment", "spread", "uncompared"),
    )
    environments = ("made", "made_again", "maps_made", "maps_made_again")
    return {
        "trial": trial_as_dict(reproduction.trial),
        **{name: getattr(reproduction, name) for name in plain},
        "verified": reproduction.verified,
        "other_seeds": len(reproduction.other_seeds),
        "other_tables": list(reproduction.other_tables),
        "largest_difference_of": reproduction.largest.name
        if reproduction.largest.difference
        else None,
        "measures": _list_measures(reproduction),
        **{name: dict(getattr(reproduction, name)) for name in environments},
    }
