"""Charts as Altair over named data, and one way to write them as PNG, SVG or PDF.

A function returns a chart without its data. A picture, here or in a page, adds rows under the names
that the function's docstring states. Colours of categories are the first of the configuration, so
that a page can have its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from lcma.harness.show.targets import (
    BLUE,
    FONT,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILION,
    require_addresses,
    write_picture,
)
from lcma.harness.text import printable

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

CONFIG: Mapping[str, Any] = {
    "aria": False,  # a picture is one thing with a title and a description
    "background": "white",
    "font": FONT,
    "padding": 16,
    "axis": {"labelColor": INK, "titleColor": INK, "gridColor": "#E4E4E4", "tickSize": 4}
    | {"domainColor": GREY, "tickColor": GREY, "titleFontWeight": "normal", "titleFontSize": 13}
    | {"labelFontSize": 12},
    "legend": {"labelColor": INK, "titleColor": INK, "labelLimit": 0, "labelFontSize": 12}
    | {"labelFont": FONT, "symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 400},
    "range": {"category": [INK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE]},
    "text": {"color": INK, "font": FONT, "fontSize": 13},
    "title": {"anchor": "start", "color": INK, "fontSize": 15, "fontWeight": "normal"}
    | {"font": FONT, "subtitleFont": FONT, "subtitleColor": GREY}
    | {"subtitleFontSize": 12, "frame": "group", "offset": 10},
    "view": {"stroke": None},
}

_DIFFERENCE = (
    "(abs(datum.mean) < 0.0005 ? '0.000' : format(datum.mean, '+.3f'))"
    " + (isValid(datum.high) ? ' ± ' + format((datum.high - datum.low) / 2, '.3f') : '')"
    " + ', n = ' + datum.n"
)

# Charts


def forest(title: str | None = "difference", group: str = "") -> alt.LayerChart:
    """Return differences around zero with intervals, and small dots for seeds.

    Data: ``rows`` with label, mean, low, high, n and than ("better", "worse" or anything else);
    ``seeds`` with label and value. The names of both end in ``group``. Without a title the axis has
    no numbers.
    """
    y = alt.Y("label:N", sort=None).axis(None)
    shown = title is not None
    # Of so few no label is left out for want of room, and zero is one of them.
    x = alt.X("value:Q", title=title).axis(labels=shown, ticks=shown, tickCount=5)
    colour = alt.Color("standing:N", legend=None).scale(domain=["neither", "better", "worse"])
    base = (
        alt.Chart(alt.NamedData(f"rows{group}"))
        .transform_calculate(
            standing="indexof(['better', 'worse'], datum.than) < 0 ? 'neither' : datum.than",
            text=_DIFFERENCE,
        )
        .encode(y=y)
    )
    hollow = alt.when("datum.standing == 'neither'").then(alt.value("white"))
    layers = [
        _zero(f"rows{group}", "x"),
        alt.Chart(alt.NamedData(f"seeds{group}"))
        .mark_circle(size=10, color=GREY, opacity=1, yOffset=8)
        .encode(x=x, y=y),
        base.mark_rule(size=2.4).encode(x="low:Q", x2="high:Q", color=colour),
        base.mark_point(size=55, opacity=1, strokeWidth=1.6).encode(
            x="mean:Q", color=colour, fill=hollow.otherwise(colour)
        ),
        base.mark_text(align="left").encode(x=alt.value(alt.expr("width + 16")), text="text:N"),
        base.mark_text(align="right").encode(x=alt.value(-12), text="label:N"),
    ]
    return alt.layer(*layers).properties(height=alt.Step(24))


def curves(
    title: str,
    names: Sequence[str],
    group: str = "",
    extent: Sequence[float] | None = None,
    *,
    zero: bool = False,
) -> alt.LayerChart:
    """Return lines over training steps, with bands.

    Data: ``lines`` with name (the conventional rule first), step, value, low and high; ``seeds``
    with the same by seed, without a band; ``ends`` with name, step, value and lost; ``levels`` with
    name and value. The names of all end in ``group``.

    Args:
        title: Of the vertical axis.
        names: Of the lines of all charts in a picture, so that they share colours.
        group: Ending of the names of data.
        extent: Ends of the vertical axis.
        zero: Whether to draw a line at zero.
    """
    name: dict[str, Any] = {"shorthand": "name:N", "sort": None, "title": None}
    name["scale"] = alt.Scale(domain=list(names))
    x = alt.X("step:Q", title="training step", scale=alt.Scale(zero=True, nice=False))
    x = x.axis(format="d", labelOverlap=True, grid=False)
    ends = alt.Undefined if extent is None else list(extent)
    y = {"title": title, "scale": alt.Scale(domain=ends, zero=False, nice=False)}

    def plot(data: str) -> alt.Chart:
        return alt.Chart(alt.NamedData(f"{data}{group}")).encode(x=x, y=alt.Y("value:Q", **y))

    area = plot("lines").mark_area(opacity=0.15, clip=True)
    thin = alt.Stroke(**name, legend=None)
    line = plot("lines").mark_line(clip=True, strokeWidth=1.8)
    cross = alt.when("datum.lost").then(alt.value("M-.7,-.7L.7,.7M.7,-.7L-.7,.7"))
    levels = alt.Chart(alt.NamedData(f"levels{group}")).encode(y=alt.Y("value:Q", **y))
    labels = levels.transform_calculate(text="datum.name + ' ' + format(datum.value, '.3f')")
    style = {"align": "right", "baseline": "bottom", "dx": -2, "color": GREY, "fontSize": 10}
    layers = [
        *([_zero(f"lines{group}", "y")] if zero else []),
        area.encode(y=alt.Y("low:Q", **y), y2="high:Q", fill=alt.Fill(**name, legend=None)),
        plot("seeds")
        .mark_line(clip=True, strokeWidth=0.7, strokeOpacity=0.45)
        .encode(stroke=thin, detail="seed:N"),
        line.encode(color=alt.Color(**name), strokeDash=alt.StrokeDash(**name)),
        plot("ends")
        .mark_point(size=70, opacity=1, strokeWidth=2)
        .encode(stroke=thin, shape=cross.otherwise(alt.value("circle"))),
        levels.mark_rule(strokeDash=[1, 3], color=GREY),
        labels.mark_text(**style).encode(x=alt.value("width"), text="text:N"),
    ]
    # Fills and strokes have scales of their own, so that one legend shows colours and dashes.
    return alt.layer(*layers).resolve_scale(fill="independent", stroke="independent")


def pairs(title: str = "value") -> alt.LayerChart:
    """Return two rows by seed: a ring for `a`, a dot for `b`, and their difference as text.

    Data: ``pairs`` with seed, a, b and difference (a - b).
    """
    base = alt.Chart(alt.NamedData("pairs")).encode(
        y=alt.Y("seed:O").axis(ticks=False, domain=False)
    )
    x, where = alt.Scale(zero=False, padding=8), alt.value(alt.expr("width + 16"))
    return alt.layer(
        base.mark_rule(size=2, color=GREY).encode(x=alt.X("a:Q", title=title, scale=x), x2="b:Q"),
        base.mark_point(size=60, fill="white", color=BLUE, opacity=1).encode(x="a:Q"),
        base.mark_circle(size=60, color=BLUE, opacity=1).encode(x="b:Q"),
        base.mark_text(align="left").encode(x=where, text=alt.Text("difference:Q", format="+.4f")),
    ).properties(height=alt.Step(20))


def budgets(title: str = "difference from the longest budget") -> alt.LayerChart:
    """Return a measure or a difference by budget, and levels to compare it with.

    Data: ``means`` with budget, mean, low, high, n and, where known, enough; ``seeds`` with budget,
    seed and value; ``base``, levels with bands such as the conventional rule, with name, value, low
    and high.
    """
    y = {"title": title, "scale": alt.Scale(zero=False)}
    means = alt.Chart(alt.NamedData("means")).encode(x=_BUDGET)
    base = alt.Chart(alt.NamedData("base")).encode(color=_LEGEND)
    enough = alt.when("datum.enough").then(alt.value(GREEN)).otherwise(alt.value(INK))
    return alt.layer(
        base.mark_rect(fillOpacity=0.15).encode(y=alt.Y("low:Q", **y), y2="high:Q"),
        base.mark_rule(size=1.4, strokeDash=[6, 3]).encode(y=alt.Y("value:Q", **y)),
        alt.Chart(alt.NamedData("seeds"))
        .mark_circle(size=22, color=GREY, opacity=0.8, xOffset=-5)
        .encode(x=_BUDGET, y=alt.Y("value:Q", **y)),
        means.mark_rule(size=2, xOffset=5).encode(y=alt.Y("low:Q", **y), y2="high:Q", color=enough),
        means.mark_point(shape="diamond", size=60, filled=True, opacity=1, xOffset=5).encode(
            y=alt.Y("mean:Q", **y), color=enough
        ),
    )


def front(cost: str = "cost", mean: str = "mean") -> alt.LayerChart:
    """Return the cost and the mean of each row, and the Pareto front.

    Data: ``costs`` with name, cost, mean, low, high and on_front.
    """
    x = alt.X("cost:Q", title=cost, scale=alt.Scale(type="log", nice=False, padding=30))
    x = x.axis(labelOverlap=True, grid=False)
    y = alt.Y("mean:Q", title=mean, scale=alt.Scale(zero=False, padding=20))
    costs = alt.Chart(alt.NamedData("costs")).encode(x=x, y=y)
    colour = (
        alt.when("datum.name == 'conventional'").then(alt.value(INK)).otherwise(alt.value(BLUE))
    )
    filled = alt.when("!datum.on_front").then(alt.value("white"))
    filled = filled.when("datum.name == 'conventional'").then(alt.value(INK))
    return alt.layer(
        costs.transform_filter("datum.on_front").mark_line(interpolate="step-after", color=BLUE),
        costs.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q", color=colour),
        costs.mark_point(size=60, opacity=1).encode(
            color=colour, fill=filled.otherwise(alt.value(BLUE))
        ),
        costs.mark_text(align="left", dx=8, dy=-5).encode(text="name:N"),
    )


_BUDGET = alt.X("budget:O", title="budget: steps of pretraining").axis(
    labelAngle=0, labelOverlap=True, labelSeparation=6
)
_LEGEND = alt.Color("name:N", sort=None, title=None).legend(orient="top")

SITE_CHARTS: tuple[Callable[[], alt.LayerChart], ...] = (pairs, budgets, front)
"""Charts that the site draws."""


def chart_specs() -> dict[str, Spec]:
    """Return each chart of the site as Vega-Lite that fills its container, and "config"."""
    specs: dict[str, Spec] = {"config": dict(CONFIG)}
    for make in SITE_CHARTS:
        sized = {} if make is pairs else {"height": 260}
        spec = make().properties(width="container", **sized).to_dict()
        del spec["config"]
        specs[make.__name__] = spec
    return specs


def _zero(data: str, axis: str) -> alt.Chart:
    chart = alt.Chart(alt.NamedData(data)).transform_aggregate(rows="count()")
    return chart.mark_rule(strokeDash=[4, 3], color=GREY).encode(**{axis: alt.datum(0)})


def stack(panels: Sequence[Any], below: Sequence[str] = (), **resolve: str) -> alt.VConcatChart:
    """Return charts below each other, with lines of text at the bottom."""
    style = {"orient": "bottom", "frame": "bounds", "fontSize": 12}
    text = alt.Title(list(below), color=GREY, **style)
    stacked = alt.vconcat(*panels, spacing=30).resolve_scale(**resolve)
    return stacked.properties(title=text) if below else stacked


def write_chart(
    chart: Any, datasets: Mapping[str, Rows], path: Path, title: str, about: str
) -> Path:
    """Write a chart with its data as `write_picture` does; all text is escaped by `printable`.

    Raises UserError where the file cannot be written, or `ulimit -v` is too low.
    """
    require_addresses()
    spec = chart.to_dict(validate=False) | {"datasets": datasets, "config": CONFIG}
    svg = vl_convert.vegalite_to_svg(_escape_texts(spec))
    # Renumber clips: vl-convert continues from the last picture, and bytes must not depend on that.
    clips = dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))
    numbered = {name: f"clip-{k}" for k, name in enumerate(clips)}
    svg = re.sub(r'(id="|url\(#)(clip\d+)', lambda m: m[1] + numbered.get(m[2], m[2]), svg)
    return write_picture(svg, path, title, about)


def _escape_texts(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _escape_texts(item) for key, item in value.items()}
    return [_escape_texts(item) for item in value] if isinstance(value, list | tuple) else value
