"""Charts as Vega-Lite, made with Altair, with their data in script files.

A page opened from a file may not fetch, so a chart's specification with its data is assigned to a
global by a script beside the page. Colours come from the page's style sheet when it is drawn.
"""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lcma.harness.results.curves import (
    MOST_LINES,
    Band,
    CurveChart,
    CurvePanel,
    LineKey,
    Points,
)
from lcma.harness.show.labels import choose_boxes
from lcma.harness.show.site.trials import ThinnedCurve
from lcma.harness.text import printable, printable_lines
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.harness.results.budgets import BudgetCurve, BudgetRow
    from lcma.harness.show.curve_pictures import AxisRange

MISSING = "a site needs Jinja2, Altair and vl-convert: pip install 'lcma[site]'"

HEIGHT = 260

NARROW = 140
"""Pixels between the ends of a chart on a phone."""

Spec = dict[str, Any]

DASHES = ([8, 3], [3, 3], [10, 3, 3, 3], [2, 2], [12, 3, 2, 3, 2, 3])
"""Of lines one over another but the first, in turn; as in `site.css`."""


@dataclass(frozen=True)
class Chart:
    """A chart under an id of its page. ``alt`` says in words what it shows."""

    id: str
    title: str
    alt: str
    spec: Spec


def require_site_extra() -> None:
    """Raise UserError where the extra `site` is not installed."""
    if not all(map(find_spec, ("altair", "jinja2", "vl_convert"))):
        raise UserError(MISSING)


@cache
def vega_bundle() -> bytes:
    """Return Vega, Vega-Lite and vega-embed in one script, from the wheel of vl-convert."""
    # In a process of its own: it holds Python's lock for seconds, in which a server answers nobody.
    # Without a snippet the three libraries are bundled as they are.
    made = "import sys, vl_convert as v; sys.stdout.buffer.write(v.javascript_bundle().encode())"
    # Not of the terminal's group, so that Ctrl-C leaves it to end by itself.
    return subprocess.run(  # noqa: S603 - this interpreter, with the text above
        [sys.executable, "-c", made], capture_output=True, check=True, start_new_session=True
    ).stdout


def charts_script(charts: Sequence[Chart]) -> bytes:
    """Return the script file of a page's charts."""
    # Vega writes its own label over the element's unless it is told the words.
    specs = {chart.id: chart.spec | {"description": printable(chart.alt)} for chart in charts}
    return f"window.lcmaCharts = {json.dumps(_escape_texts(specs), sort_keys=True)};\n".encode()


def curve_chart(curve: ThinnedCurve, number: int) -> Chart:
    """Return the chart of a curve over training steps."""
    points = [{"step": step, "value": value} for step, value in curve.points]
    first, last = curve.points[0], curve.points[-1]
    lowest = min(curve.points, key=lambda point: point[1])
    title = name_curve(curve.name)
    alt = (
        f"{title} over training steps: {first[1]:.3f} at step {first[0]}, "
        f"{last[1]:.3f} at step {last[0]}, lowest {lowest[1]:.3f} at step {lowest[0]}"
    )
    spec = _with_data(_curve_spec(), points=points) | {"usermeta": {"metric": curve.name}}
    for layer in spec["layer"]:
        layer["encoding"]["y"]["title"] = title
    return Chart(f"curve-{number}", title, alt, spec)


def name_curve(metric: str) -> str:
    """Return a metric's name as shown, as `compare.js` names it."""
    part = metric.removesuffix("_bits_per_dim")
    return metric.replace("_", " ") if part == metric else f"bits/dim, {part}"


def overlay_charts(chart: CurveChart, keys: Sequence[LineKey]) -> tuple[Chart, ...]:
    """Return the charts of some lines over training, one for each panel of bits/dim.

    After the first panel that has them come the differences from the conventional rule.
    """
    from lcma.harness.show import curve_pictures, curves

    compared = curve_pictures.find_compared_panel(chart)
    found = []
    for number, panel in enumerate(one for one in chart.panels if one.part is not None):
        few = replace(
            panel,
            lines=tuple(line for line in panel.lines if line.key in keys),
            differences=tuple(line for line in panel.differences if line.key in keys),
        )
        found.append(panel_chart(few, keys, f"overlay-{number}"))
        if panel is compared:
            drawn = [(line.key, line.mean, line.band) for line in few.differences]
            title = f"{few.label}: difference from conventional"
            spec = overlay_spec(
                curve_pictures.find_difference_range(few), "difference from conventional", zero=True
            )
            points = _overlay_points(drawn, keys)
            spec |= {"datasets": {"lines": points, "zero": [{"value": 0.0}]}}
            found.append(
                Chart(f"differences-{number}", title, curves.describe_differences(few), spec)
            )
    return tuple(found)


def panel_chart(panel: CurvePanel, keys: Sequence[LineKey], id: str) -> Chart:
    """Return the chart of the lines of a panel, drawn as their places among the keys say."""
    from lcma.harness.show import curve_pictures, curves

    drawn = [(line.key, line.mean, line.band) for line in panel.lines]
    spec = overlay_spec(curve_pictures.find_axis_range(panel), panel.label)
    spec |= {"datasets": {"lines": _overlay_points(drawn, keys)}}
    return Chart(id, panel.label, curves.describe_panel(panel), spec)


def _overlay_points(
    drawn: Sequence[tuple[LineKey, Points, Band]], keys: Sequence[LineKey]
) -> list[dict[str, Any]]:
    return [
        {"line": keys.index(key), "step": step, "value": round(value, 5)}
        | {
            "low": round(ends.get(step, (value,))[0], 5),
            "high": round(ends.get(step, (value,))[-1], 5),
        }
        for key, mean, band in drawn
        for ends in [{step: (low, high) for step, low, high in band}]
        for step, value in mean
    ]


def overlay_spec(within: "AxisRange | None", title: str, *, zero: bool = False) -> Spec:
    """Return the specification of lines with bands, over the named data ``lines``."""
    spec: Spec = json.loads(_overlay_spec(zero))
    for layer in spec["layer"]:
        axis = layer["encoding"]["y"]
        axis["title"] = title
        if within is not None:
            axis["scale"] = {"domain": [within.low, within.high], "zero": False, "nice": False}
    return spec


def budget_chart(curve: "BudgetCurve", number: int) -> tuple[Chart, ...]:
    """Return the charts of a budget curve: over budgets, and over costs with the Pareto front.

    Both show what budgets are chosen by. Empty for a single budget.
    """
    from lcma.harness.show.budgets import name_axis

    if len(curve.rows) < 2:
        return ()
    axis = name_axis(curve)
    points = [_budget_point(row) for row in curve.rows]
    seeds = [
        {"budget": row.budget, "value": one.holdout, "seed": one.seed}
        for row in curve.rows
        for one in row.results
    ]
    base = [] if curve.conventional is None else [{"value": curve.conventional.holdout}]
    means = ", ".join(f"{p['mean']:.4f} at {p['budget']}" for p in points)
    alt = f"Mean {axis}, by budget: {means}"
    alt += "" if not base else f"; conventional {base[0]['value']:.4f}"
    over = _with_data(_budget_spec(), means=points, seeds=seeds, base=base)
    for layer in over["layer"]:
        layer["encoding"]["y"]["title"] = axis
    for layer in over["layer"][:4]:
        layer["encoding"]["x"]["axis"] = {
            "values": [row.budget for row in curve.rows],
            "labelOverlap": "greedy",
            "labelSeparation": 6,
            "format": "d",
        }
    if not base:  # Vega warns of a scale over nothing
        over["layer"].pop()
    rows = [*curve.rows, *([] if curve.conventional is None else [curve.conventional])]
    costs = [point for row in rows if (point := _cost(row, curve.cost)) is not None]
    _place_labels(costs)
    front = [c for c in costs if c["front"] == "on the front"]
    on_front = ", ".join(f"{c['name']} ({c['cost']:.4g}, {c['mean']:.4f})" for c in front)
    unit = "device seconds" if curve.cost == "seconds" else "training images"
    pareto = _with_data(_front_spec(), costs=costs, front=front)
    for layer in pareto["layer"]:
        layer["encoding"]["x"]["title"] = f"{unit} of a trial with its own pretraining"
        layer["encoding"]["y"]["title"] = axis
    return (
        Chart(f"budget-{number}", "By budget", alt, over),
        Chart(
            f"front-{number}",
            "Pareto front",
            f"Mean {axis} of each pretraining budget, over {unit}; on the front: "
            f"{on_front or 'nothing'}",
            pareto,
        ),
    )


def _budget_point(row: "BudgetRow") -> dict[str, Any]:
    half = row.half_width or 0.0
    return {
        "budget": row.budget,
        "mean": row.holdout,
        "low": row.holdout - half,
        "high": row.holdout + half,
        "n": row.n,
    }


def _cost(row: "BudgetRow", unit: str) -> dict[str, Any] | None:
    cost = row.seconds if unit == "seconds" else row.images
    if cost is None:
        return None
    return {
        "name": "conventional" if row.budget is None else f"budget {row.budget}",
        "label": "conventional" if row.budget is None else str(row.budget),  # short: none touches
        "cost": cost,
        "mean": row.holdout,
        "front": "on the front" if row.on_front else "behind it",
    }


def _place_labels(costs: Sequence[dict[str, Any]]) -> None:
    """Put the label of each point above it, or below where it would cover less.

    What covers what is taken of a chart as narrow as a phone.
    """
    if not costs:
        return
    x, y = (
        [side * (value - min(values)) / ((max(values) - min(values)) or 1.0) for value in values]
        for side, values in (
            (NARROW, [math.log(max(one["cost"], 1e-9)) for one in costs]),
            (HEIGHT, [one["mean"] for one in costs]),
        )
    )
    labels = [
        [(a, b + up, 3.5 * len(one["label"]), 7.0) for up in (13, -13)]
        for one, a, b in zip(costs, x, y, strict=True)
    ]
    points = [(a, b, 5.0, 5.0) for a, b in zip(x, y, strict=True)]
    for one, place in zip(costs, choose_boxes(labels, points), strict=True):
        one["below"] = place == 1


def _with_data(spec: str, **data: Sequence[Any]) -> Spec:
    found: Spec = json.loads(spec)
    return found | {"datasets": {name: list(rows) for name, rows in data.items()}}


@cache
def _curve_spec() -> str:
    import altair as alt

    base = alt.Chart(alt.NamedData("points")).encode(
        x=alt.X("step:Q", title="training step", axis=alt.Axis(labelOverlap="greedy", format="d")),
        y=alt.Y("value:Q", title="value", scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("value:Q", format=".4f")],
    )
    return _text(alt.layer(base.mark_line(), base.mark_point(size=14, filled=True)))


@cache
def _overlay_spec(zero: bool) -> str:
    import altair as alt

    x = alt.X("step:Q", title="training step", axis=alt.Axis(labelOverlap="greedy", format="d"))
    y = alt.Scale(zero=False)
    lines = list(range(MOST_LINES))
    colour = alt.Color("line:N", scale=alt.Scale(domain=lines), legend=None)
    own = [DASHES[(line - 1) % len(DASHES)] if line else [1, 0] for line in lines]
    dashes = alt.Scale(domain=lines, range=own)
    named = alt.Chart(alt.NamedData("lines"))
    layers = [
        named.mark_area(opacity=0.12, clip=True).encode(
            x=x, y=alt.Y("low:Q", scale=y), y2="high:Q", color=colour
        ),
        named.mark_line(clip=True).encode(
            x=x,
            y=alt.Y("value:Q", scale=y),
            color=colour,
            strokeDash=alt.StrokeDash("line:N", scale=dashes, legend=None),
        ),
    ]
    if zero:
        layers.append(alt.Chart(alt.NamedData("zero")).mark_rule(size=1.5).encode(y="value:Q"))
    return _text(alt.layer(*layers))


@cache
def _budget_spec() -> str:
    import altair as alt

    x = alt.X(
        "budget:Q",
        title="pretraining budget, steps",
        scale=alt.Scale(type="symlog", constant=20),
    )
    y = alt.Scale(zero=False)
    means = alt.Chart(alt.NamedData("means"))
    return _text(
        alt.layer(
            means.mark_area(opacity=0.18).encode(x=x, y=alt.Y("low:Q", scale=y), y2="high:Q"),
            alt.Chart(alt.NamedData("seeds"))
            .mark_tick(opacity=0.6, thickness=1.5, width=9, orient="horizontal")
            .encode(
                x=x,
                y="value:Q",
                tooltip=["budget:Q", "seed:O", alt.Tooltip("value:Q", format=".4f")],
            ),
            means.mark_line().encode(x=x, y="mean:Q"),
            means.mark_point(filled=True, size=60, opacity=1).encode(
                x=x,
                y="mean:Q",
                tooltip=["budget:Q", "n:Q", alt.Tooltip("mean:Q", format=".4f")],
            ),
            alt.Chart(alt.NamedData("base"))
            .mark_rule(strokeDash=[6, 4], size=2)
            .encode(
                y="value:Q",
                tooltip=[alt.Tooltip("value:Q", title="conventional", format=".4f")],
            ),
        )
    )


@cache
def _front_spec() -> str:
    import altair as alt

    x = alt.X(
        "cost:Q",
        title="cost",
        scale=alt.Scale(type="log", nice=False, padding=40),
        axis=alt.Axis(labelOverlap="greedy", labelSeparation=6),
    )
    y = alt.Y("mean:Q", scale=alt.Scale(zero=False, padding=20))
    costs = alt.Chart(alt.NamedData("costs")).encode(x=x, y=y)
    return _text(
        alt.layer(
            alt.Chart(alt.NamedData("front")).mark_line(interpolate="step-after").encode(x=x, y=y),
            costs.mark_point(size=70, filled=True, opacity=1).encode(
                shape=alt.Shape("front:N", title=None),
                tooltip=[
                    "name:N",
                    alt.Tooltip("cost:Q", format=".4~g"),
                    alt.Tooltip("mean:Q", format=".4f"),
                    "front:N",
                ],
            ),
            costs.mark_text(dy=alt.ExprRef("datum.below ? 14 : -12"), fontSize=11).encode(
                text="label:N"
            ),
        )
    )


def _text(chart: Any) -> str:
    found = chart.properties(width="container", height=HEIGHT).to_dict()
    found.pop("config", None)
    return json.dumps(found, sort_keys=True)


def _escape_texts(value: Any) -> Any:
    """Return JSON-able values with every text as `printable_lines` shows it."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, dict):
        return {_escape_texts(key): _escape_texts(one) for key, one in value.items()}
    return [_escape_texts(one) for one in value] if isinstance(value, list | tuple) else value
