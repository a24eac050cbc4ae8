"""The rows of a leaderboard's table as HTML: without a template, since there may be 100,000."""

from markupsafe import Markup, escape

from lcma.harness.report.site.boards import Line, Table
from lcma.harness.report.text import format_number, printable


def rows_as_html(table: Table) -> Markup:
    """The rows of a table with their interval bars; all stored text is escaped."""
    published = table.has_published
    base = ""
    if table.reference is not None:
        at = table.at(table.reference)
        base = f'<line class="base" x1="{at}" x2="{at}" y1="0" y2="14"/>'
    return Markup(  # noqa: S704 - of parts that are escaped
        "\n".join(_row(table, line, base, published) for line in table.lines)
    )


def _row(table: Table, line: Line, base: str, published: bool) -> str:
    mean = line.mean
    return "".join(
        (
            f'<tr data-name="{escape(line.name)}"',
            ' class="reference">' if line.reference else ">",
            _rank(line),
            '<th scope="row" class="name">',
            _name(line),
            "</th>",
            _number("num", "-" if line.budget is None else str(line.budget)),
            _number("num strong", format_number(mean)),
            '<td class="bar">',
            "" if mean is None else _bar(table, line, mean, base),
            "</td>",
            _number("num", format_number(line.difference, sign=True)),
            _number("num", format_number(line.half)),
            f'<td class="num">{_published(line)}</td>' if published else "",
            _number("num", str(line.n)),
            _number("num", format_number(line.deviation)),
            "</tr>",
        )
    )


def _rank(line: Line) -> str:
    if line.rank is None:
        return '<td class="num" data-value="">-</td>'
    shared = "=" if line.tied else ""
    return f'<td class="num" data-value="{line.rank}">{line.rank}{shared}</td>'


def _number(kind: str, text: str) -> str:
    return f'<td class="{kind}">{text}</td>'


def _name(line: Line) -> str:
    found = escape(printable(line.name))
    if line.reference:
        found += Markup(' <abbr title="differences are from this row">*</abbr>')
    if line.cleared is False:
        found += Markup(' <abbr title="does not clear the bars: not trained enough">†</abbr>')
    if line.options is not None:
        found += Markup(" <small>{}</small>").format(printable(line.options))
    if line.lost:
        found += Markup(' <small class="lost">{} lost</small>').format(line.lost)
    return found


def _bar(table: Table, line: Line, mean: float, base: str) -> str:
    said, drawn = f"mean {mean:.4f}", ""
    if line.low is not None and line.high is not None:
        said += f", 95 % interval {line.low:.4f} to {line.high:.4f}"
        low, high = table.at(line.low), table.at(line.high)
        drawn = f'<rect class="range" x="{low}" width="{high - low:.2f}" y="4" height="6"/>'
    if line.seeds:
        said += "; seeds " + " ".join(f"{s.bits_per_dim:.4f}" for s in line.seeds)
    for seed in line.seeds:
        at = table.at(seed.bits_per_dim)
        drawn += f'<line class="seed" x1="{at}" x2="{at}" y1="2" y2="12"/>'
    at = table.at(mean)
    return (
        f'<svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="{said}">'
        f'{drawn}{base}<line class="mean" x1="{at}" x2="{at}" y1="0" y2="14"/></svg>'
    )


def _published(line: Line) -> Markup:
    found = Markup(" ").join(
        Markup('<abbr title="{}{}">{:.2f}</abbr>').format(
            printed.where, f": {printed.note}" if printed.note else "", printed.bits_per_dim
        )
        for printed in line.published
    )
    return found or Markup("-")
