"""Charts as Altair over named data, and one way to write them as PNG, SVG or PDF.

A chart is a function that returns it, without its data: a picture is the chart with rows under the
names that its function says, here or in a page. The colours of what is told apart are the first of
the configuration's categories, so that a page can have its own.
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
    """Return differences around zero with intervals and small dots for seeds.

    ``rows``: label, mean, low, high, than ('better', 'worse' or anything else), n. ``seeds``:
    label, value. Both names end in ``group``. Without a title the axis has no numbers.
    """
    y = alt.Y("label:N", sort=None).axis(None)
    x = alt.X("value:Q", title=title).axis(labels=title is not None, ticks=title is not None)
    told = alt.Color("told:N", legend=None).scale(domain=["not told apart", "better", "worse"])
    base = (
        alt.Chart(alt.NamedData(f"rows{group}"))
        .transform_calculate(
            told="indexof(['better', 'worse'], datum.than) < 0 ? 'not told apart' : datum.than",
            text=_DIFFERENCE,
        )
        .encode(y=y)
    )
    hollow = alt.when("datum.told == 'not told apart'").then(alt.value("white"))
    layers = [
        _zero(f"rows{group}", "x"),
        alt.Chart(alt.NamedData(f"seeds{group}"))
        .mark_circle(size=10, color=GREY, opacity=1, yOffset=8)
        .encode(x=x, y=y),
        base.mark_rule(size=2.4).encode(x="low:Q", x2="high:Q", color=told),
        base.mark_point(size=55, opacity=1, strokeWidth=1.6).encode(
            x="mean:Q", color=told, fill=hollow.otherwise(told)
        ),
        base.mark_text(align="left").encode(x=alt.value(alt.expr("width + 16")), text="text:N"),
        base.mark_text(align="right").encode(x=alt.value(-12), text="label:N"),
    ]
    return alt.layer(*layers).properties(height=alt.Step(24))


def curves(
    title: str,
    names: Sequence[str],
    group: str = "",
    within: Sequence[float] | None = None,
    *,
    zero: bool = False,
) -> alt.LayerChart:
    """Return lines over training steps with bands, ``within`` the ends of an axis.

    ``lines``: name (the conventional rule first), step, value, low, high. ``seeds``: the same by
    seed, without a band. ``ends``: name, step, value, lost. ``levels``: name, value. All of these
    end in ``group``. ``names`` are all that charts beside it have too.
    """
    name: dict[str, Any] = {"shorthand": "name:N", "sort": None, "title": None}
    name["scale"] = alt.Scale(domain=list(names))
    x = alt.X("step:Q", title="training step", scale=alt.Scale(zero=True, nice=False))
    x = x.axis(format="d", labelOverlap=True, grid=False)
    ends = alt.Undefined if within is None else list(within)
    y = {"title": title, "scale": alt.Scale(domain=ends, zero=False, nice=False)}

    def of(data: str) -> alt.Chart:
        return alt.Chart(alt.NamedData(f"{data}{group}")).encode(x=x, y=alt.Y("value:Q", **y))

    area = of("lines").mark_area(opacity=0.15, clip=True)
    thin = alt.Stroke(**name, legend=None)
    line = of("lines").mark_line(clip=True, strokeWidth=1.8)
    cross = alt.when("datum.lost").then(alt.value("M-.7,-.7L.7,.7M.7,-.7L-.7,.7"))
    named = alt.Chart(alt.NamedData(f"levels{group}")).encode(y=alt.Y("value:Q", **y))
    words = named.transform_calculate(text="datum.name + ' ' + format(datum.value, '.3f')")
    text = {"align": "right", "baseline": "bottom", "dx": -2, "color": GREY, "fontSize": 10}
    layers = [
        *([_zero(f"lines{group}", "y")] if zero else []),
        area.encode(y=alt.Y("low:Q", **y), y2="high:Q", fill=alt.Fill(**name, legend=None)),
        of("seeds")
        .mark_line(clip=True, strokeWidth=0.7, strokeOpacity=0.45)
        .encode(stroke=thin, detail="seed:N"),
        line.encode(color=alt.Color(**name), strokeDash=alt.StrokeDash(**name)),
        of("ends")
        .mark_point(size=70, opacity=1, strokeWidth=2)
        .encode(stroke=thin, shape=cross.otherwise(alt.value("circle"))),
        named.mark_rule(strokeDash=[1, 3], color=GREY),
        words.mark_text(**text).encode(x=alt.value("width"), text="text:N"),
    ]
    # Others have scales of their own, so that the legend has colours and dashes in one.
    return alt.layer(*layers).resolve_scale(fill="independent", stroke="independent")


def pairs(title: str = "value") -> alt.LayerChart:
    """Return two rows by seed: a ring for `a`, a dot for `b`, and their difference in words.

    ``pairs``: seed, a, b, difference (a - b).
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
    """Return a measure or a difference by budget, with what it is compared with.

    ``means``: budget, mean, low, high, n, and enough where it is told. ``seeds``: budget, seed,
    value. ``base``: name, value, low, high, for levels with bands such as the conventional rule.
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
    """Return what each row costs and gives, and the Pareto front.

    ``costs``: name, cost, mean, low, high, on_front.
    """
    x = alt.X("cost:Q", title=cost, scale=alt.Scale(type="log", nice=False, padding=30))
    x = x.axis(labelOverlap=True, grid=False)
    y = alt.Y("mean:Q", title=mean, scale=alt.Scale(zero=False, padding=20))
    costs = alt.Chart(alt.NamedData("costs")).encode(x=x, y=y)
    own = alt.when("datum.name == 'conventional'").then(alt.value(INK)).otherwise(alt.value(BLUE))
    filled = alt.when("!datum.on_front").then(alt.value("white"))
    filled = filled.when("datum.name == 'conventional'").then(alt.value(INK))
    return alt.layer(
        costs.transform_filter("datum.on_front").mark_line(interpolate="step-after", color=BLUE),
        costs.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q", color=own),
        costs.mark_point(size=60, opacity=1).encode(
            color=own, fill=filled.otherwise(alt.value(BLUE))
        ),
        costs.mark_text(align="left", dx=8, dy=-5).encode(text="name:N"),
    )


_BUDGET = alt.X("budget:O", title="budget: steps of pretraining").axis(
    labelAngle=0, labelOverlap=True, labelSeparation=6
)
_LEGEND = alt.Color("name:N", sort=None, title=None).legend(orient="top")

IN_PAGES: tuple[Callable[[], alt.LayerChart], ...] = (pairs, budgets, front)
"""Charts that the site draws too."""


def chart_specs() -> dict[str, Spec]:
    """Return each chart of the site as Vega-Lite of the width of its place, and `config`."""
    found: dict[str, Spec] = {"config": dict(CONFIG)}
    for make in IN_PAGES:
        sized = {} if make is pairs else {"height": 260}
        spec = make().properties(width="container", **sized).to_dict()
        del spec["config"]
        found[make.__name__] = spec
    return found


def _zero(data: str, axis: str) -> alt.Chart:
    one = alt.Chart(alt.NamedData(data)).transform_aggregate(rows="count()")
    return one.mark_rule(strokeDash=[4, 3], color=GREY).encode(**{axis: alt.datum(0)})


def stack(panels: Sequence[Any], below: Sequence[str] = (), **resolve: str) -> alt.VConcatChart:
    """Return charts below each other, with lines of text below them all."""
    how = {"orient": "bottom", "frame": "bounds", "fontSize": 12}
    words = alt.Title(list(below), color=GREY, **how)
    found = alt.vconcat(*panels, spacing=30).resolve_scale(**resolve)
    return found.properties(title=words) if below else found


def write_chart(
    chart: Any, datasets: Mapping[str, Rows], path: Path, title: str, about: str
) -> Path:
    """Write a chart with its data as `write_picture` does, with all text as `printable` shows it.

    Raises UserError where it cannot be written.
    """
    spec = chart.to_dict(validate=False) | {"datasets": datasets, "config": CONFIG}
    svg = vl_convert.vegalite_to_svg(_escape_texts(spec))
    # Clips are numbered anew: vl-convert counts on from the last picture's.
    clips = dict.fromkeys(re.findall(r'id="(clip\d+)"', svg))
    places = {name: f"clip-{k}" for k, name in enumerate(clips)}
    svg = re.sub(r'(id="|url\(#)(clip\d+)', lambda one: one[1] + places.get(one[2], one[2]), svg)
    return write_picture(svg, path, title, about)


def _escape_texts(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _escape_texts(one) for key, one in value.items()}
    return [_escape_texts(one) for one in value] if isinstance(value, list | tuple) else value
