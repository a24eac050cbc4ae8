"""A verification, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.harness.results.board import name_unit
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.run.verification import Verified
from lcma.harness.show.tables import Table, TableColumn, render_table
from lcma.harness.text import format_count, printable


def render_verification(verified: Verified) -> Group:
    """Return what came out, the other measures, and in what the environments differ."""
    columns = (
        TableColumn("measure"),
        TableColumn("unit"),
        *(TableColumn(name, kind="number", places=6) for name in ("stored", "again")),
        TableColumn("difference", right=True),
    )
    rows = []
    for one in verified.comparisons:
        if one is not verified.bits_per_dim:
            difference = "equal" if one.equal else f"{one.difference:+.2g}"
            rows.append(
                (one.name, name_unit(one.unit), one.stored.value, one.again.value, difference)
            )
    table = render_table(Table(columns, tuple(rows)))
    parts: list[RenderableType] = [Text(printable(describe_trial(verified.trial)))]
    parts += [Text(printable(line), style="bold") for line in describe_outcome(verified)]
    parts.append(table)
    if verified.uncompared:
        names = ", ".join(verified.uncompared)
        parts.append(Text(printable(f"not compared, since only one has them: {names}")))
    if verified.other_tables:
        splits = ", ".join(map(str, verified.other_tables))
        line = f"index tables differ at split {splits}, so this is another model"
        why = "" if verified.trial.pretraining_id is None else ": its maps did not come out again"
        parts.append(Text(f"{line}{why}"))
    parts += [Text(line) for line in _describe_environments(verified)]
    return Group(*parts)


def _describe_environments(verified: Verified) -> Iterator[str]:
    for whose, made, again in (
        ("", verified.made, verified.made_again),
        ("maps' ", verified.maps_made, verified.maps_made_again),
    ):
        for name, then in made.items():
            if then != (now := again.get(name)):
                yield printable(f"{whose}{name}: {_or_none(then)} then, {_or_none(now)} now")


def _or_none(value: object) -> str:
    return "none" if value is None else str(value)


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
    return {
        "trial": trial_as_dict(verified.trial),
        **asdict(verified.verification),
        "verified": verified.good,
        "outcome": verified.outcome,
        "same_environment": verified.same_environment,
        "other_seeds": len(verified.other_seeds),
        "spread": verified.spread,
        "largest_difference_of": verified.largest.name if verified.largest.difference else None,
        "measures": [
            {
                "name": one.name,
                "unit": one.unit,
                "stored": one.stored.value,
                "again": one.again.value,
                "difference": one.difference,
                "equal": one.equal,
            }
            for one in verified.comparisons
        ],
        "uncompared": verified.uncompared,
        "made": dict(verified.made),
        "made_again": dict(verified.made_again),
        "maps_made": dict(verified.maps_made),
        "maps_made_again": dict(verified.maps_made_again),
        "other_tables": list(verified.other_tables),
    }
