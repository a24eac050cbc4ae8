"""The leaderboard's rows as the pages show them, and how they are cut into pages."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from lcma.db import Bar, Store
from lcma.harness.report.board import group_titles, lines_below
from lcma.harness.report.site.queries import number_of_results_query, run_query
from lcma.harness.results.board import Board, Group, Row, read_board
from lcma.harness.text import format_number, printable
from lcma.sweeps.published import Number

LARGE = 20_000
"""Results beyond which single ones are not shown."""

PER_PAGE = 300
"""Rows of a page of the leaderboard at most."""

TrialKey = tuple[str, str, str, str, int | None, str | None, int]
"""Data digest, recipe, protocol, factorization, budget, map options, seed."""


@dataclass(frozen=True, slots=True)
class Seed:
    """The result of one seed, and the page of its trial where there is one."""

    seed: int
    bits_per_dim: float
    page: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the leaderboard. ``low`` and ``high`` are the 95 % t-interval of the mean over
    seeds, ``half`` half of that of the difference; None where they cannot be known. ``rank`` is by
    test, ``tied`` says that other rows share it."""

    name: str
    budget: int | None
    options: str | None
    n: int
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    seeds: tuple[Seed, ...]
    difference: float | None
    half: float | None
    pairs: int | None
    rank: int | None
    tied: bool
    published: tuple[Number, ...]
    reference: bool
    cleared: bool | None
    lost: int


@dataclass(frozen=True)
class Table:
    """Rows that can be ranked together. ``least`` and ``most`` are the ends of the interval bars'
    scale; ``start`` counts the rows of the same group on pages before."""

    title: str
    under: str
    flow: str
    dataset: str
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...]
    notes: tuple[str, ...]
    reference: float | None
    least: float
    most: float
    start: int = 0

    @property
    def has_published(self) -> bool:
        """Whether any row has a printed number beside it."""
        return any(line.published for line in self.lines)

    def at(self, value: float) -> float:
        """Where a value lies on the scale, 0 to 100; outside it for bars far away."""
        return round(100 * (value - self.least) / (self.most - self.least), 2)


@dataclass(frozen=True)
class Leaderboard:
    """All tables. ``apart`` says what keeps tables of one flow and data set from each other."""

    tables: tuple[Table, ...]
    diverged: int
    failed: int
    apart: tuple[str, ...] = ()


def read_leaderboard(
    store: Store, sweep_id: str | None, pages: Mapping[TrialKey, str]
) -> Leaderboard:
    """The leaderboard of a sweep, or of all results. ``pages`` are the trials' by key; of very many
    results no single ones are given."""
    large = sweep_id is None and number_of_results(store) > LARGE
    return make_tables(read_board(store, sweep_id=sweep_id), pages, singly=not large)


def number_of_results(store: Store) -> int:
    """How many results the database holds."""
    found = run_query(store, number_of_results_query()).rows[0]["results"]
    return int(str(found)) if found is not None else 0


def make_tables(board: Board, pages: Mapping[TrialKey, str], *, singly: bool = True) -> Leaderboard:
    """The tables of a board."""
    tables = tuple(_table(group, pages, singly) for group in board.groups)
    return Leaderboard(tables, board.diverged, board.failed, board.apart)


def paginate_tables(tables: Sequence[Table], most: int = PER_PAGE) -> list[list[Table]]:
    """Tables in order on pages of so many rows; a longer one goes on on the next page."""
    found: list[list[Table]] = [[]]
    room = most
    for table in tables:
        lines = table.lines
        while lines:
            if not room or (len(lines) > room and len(lines) <= most and found[-1]):
                found.append([])
                room = most
            start = len(table.lines) - len(lines)
            found[-1].append(replace(table, lines=lines[:room], start=start))
            room, lines = room - min(room, len(lines)), lines[room:]
    return found


def _table(group: Group, pages: Mapping[TrialKey, str], singly: bool) -> Table:
    title, under = group_titles(group)
    ranks = Counter(row.rank for row in group.rows)
    lines = tuple(_line(group, row, ranks[row.rank] > 1, pages, singly) for row in group.rows)
    reference = next((row.mean for row in group.rows if row.reference), None)
    least, most = _scale(lines)
    return Table(
        title=title,
        under=under,
        flow=group.flow,
        dataset=f"{group.dataset} ({group.variant})",
        lines=lines,
        bars=tuple(bar for bar in group.bars if bar.bits_per_dim is not None),
        notes=tuple(lines_below(group)),
        reference=reference,
        least=least,
        most=most,
    )


def _line(group: Group, row: Row, tied: bool, pages: Mapping[TrialKey, str], singly: bool) -> Line:
    difference = row.difference
    key = (group.data_digest, group.recipe_id, group.protocol)
    own = (row.factorization, row.budget, row.map_options)
    return Line(
        name=row.label,
        budget=row.budget,
        options=row.map_options,
        n=row.n,
        mean=row.mean,
        deviation=row.deviation,
        low=row.low,
        high=row.high,
        seeds=tuple(
            Seed(seed, value, pages.get((*key, *own, seed)))
            for seed, value in zip(row.seeds, row.bits_per_dim, strict=True)
            if singly
        ),
        difference=None if difference is None else difference.mean,
        half=None
        if difference is None or difference.high is None
        else difference.high - difference.mean,
        pairs=None if difference is None else difference.pairs,
        rank=row.rank,
        tied=tied,
        published=row.published,
        reference=row.reference,
        cleared=row.cleared,
        lost=row.diverged + row.failed,
    )


def _scale(lines: Sequence[Line]) -> tuple[float, float]:
    """The ends of the bars' scale: all intervals and seeds, with some room."""
    values = [line.mean for line in lines if line.mean is not None]
    values += [v for line in lines for v in (line.low, line.high) if v is not None]
    values += [seed.bits_per_dim for line in lines for seed in line.seeds]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    least, most = min(finite), max(finite)
    room = 0.04 * (most - least) or 0.5
    return least - room, most + room


# The rows of a leaderboard's table as HTML: without a template, since there may be 100,000


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
