"""A verification, as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.run.verification import Verified
from lcma.harness.tables import Table, TableColumn, render_table
from lcma.harness.text import printable


def render_verification(verified: Verified) -> Group:
    """Return the measures of both trainings, in what their environments differ, and the verdict."""
    columns = (
        TableColumn("measure"),
        *(TableColumn(name, kind="number", places=6) for name in ("stored", "again")),
        TableColumn("difference", right=True),
    )
    rows = []
    for one in verified.comparisons:
        difference = "equal" if one.equal else f"{one.difference:.2g}"
        rows.append((one.name, one.stored.value, one.again.value, difference))
    table = render_table(Table(columns, tuple(rows)))
    parts: list[RenderableType] = [Text(printable(describe_trial(verified.trial))), table]
    if verified.uncompared:
        names = ", ".join(verified.uncompared)
        parts.append(Text(printable(f"not compared, since only one has them: {names}")))
    if verified.other_tables:
        splits = ", ".join(map(str, verified.other_tables))
        line = f"index tables differ at split {splits}, so this is another model"
        why = "" if verified.trial.pretraining_id is None else ": its maps did not come out again"
        parts.append(Text(f"{line}{why}"))
    parts += [Text(line) for line in _describe_environments(verified)]
    return Group(*parts, Text(describe_verdict(verified), style="bold"))


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


def describe_verdict(verified: Verified) -> str:
    """Return in one line whether the numbers came out again."""
    found = verified.verification
    if found.equal:
        compared = "all compared measures" if verified.uncompared else "all measures"
        return f"{compared} are equal to the last bit"
    side = "within" if verified.good else "above"
    line = (
        f"the largest difference is {found.largest_difference:.2g} bits/dim, {side} the tolerance "
        f"of {found.tolerance:g}"
    )
    others = [
        f"{printable(one.name)} by {one.difference:.2g} {printable(one.unit)}"
        for one in verified.other_units
    ]
    return f"{line}; differs too, in another unit: {', '.join(others)}" if others else line


def verification_as_dict(verified: Verified) -> dict[str, Any]:
    """Return a verification as JSON values."""
    return {
        "trial": trial_as_dict(verified.trial),
        **asdict(verified.verification),
        "verified": verified.good,
        "measures": [
            {
                "name": one.name,
                "stored": one.stored.value,
                "again": one.again.value,
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
