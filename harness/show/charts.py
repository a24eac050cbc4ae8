"""Charts as Altair over named data, and one way to write them as PNG, SVG or PDF.

A chart is a function that returns it, without its data: a picture is the chart with rows under the
names that its function says, here or in a page. The colours of what is told apart are the first of
the configuration's categories, so that a page can have its own.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import altair as alt
import vl_convert

from lcma.harness.files import write_file
from lcma.harness.show.targets import PictureFormat, format_of
from lcma.harness.text import printable, printable_lines

INK, GREY = "#222222", "#6B6B6B"
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY_BLUE, YELLOW = "#E69F00", "#56B4E9", "#F0E442"
"""Colours of Okabe and Ito, which colour-blind people tell apart."""

CATEGORIES = (INK, BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY_BLUE)

FONT = "Liberation Sans, Arial, sans-serif"
"""The first is in vl-convert, so that a picture is the same on every machine."""

CONFIG: Mapping[str, Any] = {
    "aria": False,  # a picture is one thing with a title and a description
    "background": "white",
    "font": FONT,
    "axis": {"labelColor": INK, "titleColor": INK, "gridColor": "#E4E4E4", "tickSize": 4}
    | {"domainColor": GREY, "tickColor": GREY, "titleFontWeight": "normal", "titleFontSize": 12}
    | {"labelFontSize": 11},
    "legend": {"labelColor": INK, "titleColor": INK, "labelLimit": 0, "labelFontSize": 11}
    | {"symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 400},
    "range": {"category": list(CATEGORIES)},
    "text": {"color": INK, "fontSize": 11},
    "title": {"anchor": "start", "color": INK, "fontSize": 14, "subtitleColor": GREY}
    | {"subtitleFontSize": 11, "frame": "group", "offset": 10},
    "view": {"stroke": None},
}

Rows = Sequence[Mapping[str, Any]]
Spec = dict[str, Any]

_RESOURCES = re.compile(rb"(?:^ */\w+ \d+ 0 R\n)+", re.MULTILINE)
"""What a page of a PDF refers to, which vl-convert lists in an order of chance."""

_DIFFERENCE = (
    "(abs(datum.mean) < 0.0005 ? '0.000' : format(datum.mean, '+.3f'))"
    " + (isValid(datum.high) ? ' ± ' + format((datum.high - datum.low) / 2, '.3f') : '')"
    " + ', n = ' + datum.n"
)

# Charts


def forest(rows: str = "rows", seeds: str = "seeds", title: str = "difference") -> alt.LayerChart:
    """Return differences around zero with intervals and small dots for seeds.

    ``rows``: label, mean, low, high, than ('better', 'worse' or anything else), n. ``seeds``:
    label, value.
    """
    y = alt.Y("label:N", sort=None, title=None, scale=alt.Scale(paddingOuter=0.3)).axis(
        domain=False, ticks=False, labelLimit=0, labelFontSize=12, labelPadding=12
    )
    told = alt.Color("told:N", legend=None).scale(domain=["not told apart", "better", "worse"])
    base = (
        alt.Chart(alt.NamedData(rows))
        .transform_calculate(
            told="indexof(['better', 'worse'], datum.than) < 0 ? 'not told apart' : datum.than",
            text=_DIFFERENCE,
        )
        .encode(y=y)
    )
    hollow = alt.when("datum.told == 'not told apart'").then(alt.value("white"))
    return alt.layer(
        _zero(rows, "x"),
        alt.Chart(alt.NamedData(seeds))
        .mark_circle(size=10, color=GREY, opacity=1, yOffset=8)
        .encode(x=alt.X("value:Q", title=title), y=y),
        base.mark_rule(size=2.4).encode(x="low:Q", x2="high:Q", color=told),
        base.mark_point(size=55, opacity=1, strokeWidth=1.6).encode(
            x="mean:Q", color=told, fill=hollow.otherwise(told)
        ),
        base.mark_text(align="left", fontSize=12).encode(
            x=alt.value(alt.expr("width + 16")), text="text:N"
        ),
    ).properties(height=alt.Step(24))


def curves(lines: str = "lines", title: str = "value", *, zero: bool = False) -> alt.LayerChart:
    """Return lines over training steps with bands.

    ``lines``: name (the conventional rule first), step, value, low, high.
    """
    base = alt.Chart(alt.NamedData(lines)).encode(
        x=alt.X("step:Q", title="training step").axis(format="d", labelOverlap=True, grid=False)
    )
    name = {"shorthand": "name:N", "sort": None, "title": None}
    y = alt.Scale(zero=False, nice=False)
    layers = [
        base.mark_area(opacity=0.15, clip=True).encode(
            y=alt.Y("low:Q", scale=y), y2="high:Q", fill=alt.Fill(**name, legend=None)
        ),
        base.mark_line(clip=True, strokeWidth=1.8).encode(
            y=alt.Y("value:Q", title=title, scale=y),
            color=alt.Color(**name),
            strokeDash=alt.StrokeDash(**name),
        ),
    ]
    # With a scale of its own the band is not in the legend, which has colours and dashes in one.
    drawn = alt.layer(*([_zero(lines, "y")] if zero else []), *layers)
    return drawn.resolve_scale(fill="independent")


def pairs(data: str = "pairs", title: str = "value") -> alt.LayerChart:
    """Return two rows by seed: a ring for `a`, a dot for `b`, and their difference in words.

    ``data``: seed, a, b, difference (a - b).
    """
    base = alt.Chart(alt.NamedData(data)).encode(y=alt.Y("seed:O").axis(ticks=False, domain=False))
    x, where = alt.Scale(zero=False), alt.value(alt.expr("width + 16"))
    return alt.layer(
        base.mark_rule(size=2, color=GREY).encode(x=alt.X("a:Q", title=title, scale=x), x2="b:Q"),
        base.mark_point(size=60, fill="white", opacity=1).encode(x="a:Q"),
        base.mark_circle(size=60, opacity=1).encode(x="b:Q"),
        base.mark_text(align="left").encode(x=where, text=alt.Text("difference:Q", format="+.4f")),
    ).properties(height=alt.Step(20))


def budgets(title: str = "difference from the longest budget") -> alt.LayerChart:
    """Return a measure or a difference by budget, with what it is compared with.

    ``means``: budget, mean, low, high, n, and enough where it is told. ``seeds``: budget, seed,
    value. ``base``: name, value, low, high, for levels with bands such as the conventional rule.
    """
    x = alt.X("budget:O", title="budget: steps of pretraining").axis(labelAngle=0)
    means = alt.Chart(alt.NamedData("means")).encode(x=x)
    base = alt.Chart(alt.NamedData("base")).encode(color=alt.Color("name:N", sort=None, title=None))
    enough = alt.when("datum.enough").then(alt.value(GREEN)).otherwise(alt.value(INK))
    return alt.layer(
        base.mark_rect(fillOpacity=0.15).encode(y="low:Q", y2="high:Q"),
        base.mark_rule(size=1.4, strokeDash=[6, 3]).encode(y="value:Q"),
        alt.Chart(alt.NamedData("seeds"))
        .mark_circle(size=22, color=GREY, opacity=0.8, xOffset=-5)
        .encode(x=x, y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))),
        means.mark_rule(size=2, xOffset=5).encode(y="low:Q", y2="high:Q", color=enough),
        means.mark_point(shape="diamond", size=60, filled=True, opacity=1, xOffset=5).encode(
            y="mean:Q", color=enough
        ),
    )


def front(x_title: str = "cost", y_title: str = "mean") -> alt.LayerChart:
    """Return what each row costs and gives, and the Pareto front.

    ``costs``: name, cost, mean, low, high, on_front, knee.
    """
    x = alt.X("cost:Q", title=x_title, scale=alt.Scale(type="log", nice=False, padding=30))
    y = alt.Y("mean:Q", title=y_title, scale=alt.Scale(zero=False, padding=20))
    costs = (
        alt.Chart(alt.NamedData("costs"))
        .transform_window(place="row_number()", sort=[alt.SortField("cost")])
        .encode(x=x, y=y)
    )
    filled = alt.when("datum.on_front").then(alt.value(BLUE)).otherwise(alt.value("white"))
    return alt.layer(
        costs.transform_filter("datum.on_front").mark_line(interpolate="step-after", color=BLUE),
        costs.mark_rule(opacity=0.5, color=BLUE).encode(y="low:Q", y2="high:Q"),
        costs.transform_filter("datum.knee").mark_point(size=220, color=INK, opacity=1),
        costs.mark_point(size=60, opacity=1, color=BLUE).encode(fill=filled),
        costs.mark_text(dy=alt.expr("datum.place % 2 ? -13 : 14")).encode(text="name:N"),
    )


CHARTS = {"forest": forest, "curves": curves, "pairs": pairs, "budgets": budgets, "front": front}


def chart_specs() -> dict[str, Spec]:
    """Return each chart as a Vega-Lite specification of the width of its place in a page."""
    drawn = {name: make() for name, make in CHARTS.items()}
    drawn["differences"] = curves(title="difference from conventional", zero=True)
    found = {}
    for name, chart in drawn.items():
        sized = {} if name in ("forest", "pairs") else {"height": 260}
        spec = chart.properties(width="container", **sized).to_dict()
        del spec["config"]
        found[name] = spec
    return found


def _zero(data: str, axis: str) -> alt.Chart:
    one = alt.Chart(alt.NamedData(data)).transform_aggregate(rows="count()")
    return one.mark_rule(strokeDash=[4, 3], color=GREY).encode(**{axis: alt.datum(0)})


# Writing


def write_chart(
    chart: Any, datasets: Mapping[str, Rows], path: Path, title: str, about: str
) -> Path:
    """Write a chart with its data, in the format that the name says, PNG where it says none.

    The same picture is the same bytes. In SVG ``title`` and ``about`` are the words for whoever
    cannot see it. Text is shown as `printable` gives it. Raises UserError where it cannot be
    written.
    """
    spec = chart.to_dict(validate=False) | {"datasets": datasets, "config": CONFIG}
    svg = vl_convert.vegalite_to_svg(_escape_texts(spec))
    form = format_of(path) or PictureFormat.png
    if form is PictureFormat.png:
        return write_file(path, vl_convert.svg_to_png(svg, scale=2))
    if form is PictureFormat.pdf:
        return write_file(path, _RESOURCES.sub(_sort_lines, vl_convert.svg_to_pdf(svg)))
    words = f"<title>{escape(printable(title))}</title>"
    words += f"<desc>{escape(printable(about))}</desc>" if about else ""
    first, _, rest = svg.partition(">")
    return write_file(path, f'{first} role="img">{words}{rest}'.encode())


def _sort_lines(found: re.Match[bytes]) -> bytes:
    return b"".join(sorted(found[0].splitlines(keepends=True)))


def _escape_texts(value: Any) -> Any:
    """Return JSON-able values with every text as `printable_lines` shows it."""
    if isinstance(value, str):
        return printable_lines(value)
    if isinstance(value, Mapping):
        return {printable_lines(key): _escape_texts(one) for key, one in value.items()}
    return [_escape_texts(one) for one in value] if isinstance(value, list | tuple) else value
