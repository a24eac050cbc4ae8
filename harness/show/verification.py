"""A verification, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from operator import itemgetter
from typing import Any

from rich.console import Group
from rich.text import Text

from lcma.harness.launch.verification import Verified
from lcma.harness.results.board import name_unit
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.show.tables import TableColumn, render_table, tabulate
from lcma.harness.text import format_count, printable
from lcma.sweeps.measures import BITS_PER_DIM


def render_verification(verified: Verified) -> Group:
    """Return what came out, the other measures, and in what the environments differ."""
    table = tabulate(
        [row for row in _list_measures(verified) if row["name"] != BITS_PER_DIM],
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
    if verified.uncompared:
        names = ", ".join(verified.uncompared)
        below.append(f"not compared, since only one has them: {names}")
    if verified.other_tables:
        splits = ", ".join(map(str, verified.other_tables))
        why = "" if verified.trial.pretraining_id is None else ": its maps did not come out again"
        below.append(f"index tables differ at split {splits}, so this is another model{why}")
    return Group(
        Text(printable(describe_trial(verified.trial))),
        *(Text(printable(line), style="bold") for line in describe_outcome(verified)),
        render_table(table),
        *(Text(printable(line)) for line in (*below, *_describe_environments(verified))),
    )


def _list_measures(verified: Verified) -> list[dict[str, Any]]:
    return [
        {"stored": one.stored.value, "again": one.again.value}
        | {name: getattr(one, name) for name in ("name", "unit", "difference", "equal")}
        for one in verified.comparisons
    ]


def _describe_environments(verified: Verified) -> Iterator[str]:
    for whose, made, again in (
        ("", verified.made, verified.made_again),
        ("maps' ", verified.maps_made, verified.maps_made_again),
    ):
        for name, then in made.items():
            if then != (now := again.get(name)):
                before, after = ("none" if one is None else one for one in (then, now))
                yield f"{whose}{name}: {before} then, {after} now"


def describe_outcome(verified: Verified) -> Iterator[str]:
    """Yield bits/dim then and now, whether the numbers came out again, and what differs most."""
    found, bits, spread = verified.verification, verified.bits_per_dim, verified.spread
    seeds = format_count(len(verified.other_seeds), "other seed")
    beside = "too few for a spread" if spread is None else f"standard deviation {spread:.4f}"
    yield (
        f"bits/dim of the test part: {bits.stored.value:.6f} then, {bits.again.value:.6f} now, "
        f"difference {bits.difference:+.2g}; {seeds}, {beside}"
    )
    whose = "all compared measures are " if verified.uncompared else "all measures are "
    yield f"{whose if found.equal else ''}{verified.outcome}"
    if found.largest_difference:
        one, most = verified.largest, f"{found.largest_difference:.2g} bits/dim"
        own = "" if one.unit == bits.unit else f"{abs(one.difference):.2g} {one.unit}, "
        yield f"the largest difference is that of {one.name}: {own}{most}"


def verification_as_dict(verified: Verified) -> dict[str, Any]:
    """Return a verification as JSON values."""
    plain = ("outcome", "same_environment", "spread", "uncompared")
    made = ("made", "made_again", "maps_made", "maps_made_again")
    return {
        "trial": trial_as_dict(verified.trial),
        **asdict(verified.verification),
        "verified": verified.good,
        **{name: getattr(verified, name) for name in plain},
        "other_seeds": len(verified.other_seeds),
        "other_tables": list(verified.other_tables),
        "largest_difference_of": verified.largest.name if verified.largest.difference else None,
        "measures": _list_measures(verified),
        **{name: dict(getattr(verified, name)) for name in made},
    }
