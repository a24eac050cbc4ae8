"""The leaderboard's tables, how they are cut into pages, and their rows as HTML."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape

from lcma.db import Bar, Store
from lcma.harness.report.board import format_titles, list_lines_below
from lcma.harness.report.site.queries import number_of_results_query, run_query
from lcma.harness.results.board import Board, BoardRow, Group, read_board
from lcma.harness.text import format_number, printable
from lcma.sweeps.published import Number

LARGE = 20_000
"""Number of results above which single ones are not shown."""

PER_PAGE = 300
"""Most rows on a page of the leaderboard."""

TrialKey = tuple[str, str, str, str, int | None, str | None, int]
"""Data digest, recipe, protocol, factorization, budget, map options, seed."""


@dataclass(frozen=True, slots=True)
class LeaderboardSeed:
    """The result of one seed, and the page of its trial where there is one."""

    seed: int
    bits_per_dim: float
    page: str | None


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """A row of the leaderboard.

    ``low`` and ``high`` are the 95 % t-interval of the mean over seeds, ``half`` is half of that of
    the difference; None where they cannot be known. ``rank`` is by test, ``tied`` says that other
    rows share it.
    """

    name: str
    budget: int | None
    options: str | None
    n: int
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None
    seeds: tuple[LeaderboardSeed, ...]
    difference: float | None
    half: float | None
    rank: int | None
    tied: bool
    published: tuple[Number, ...]
    reference: bool
    cleared: bool | None
    lost: int


@dataclass(frozen=True)
class LeaderboardTable:
    """Rows that can be ranked together.

    ``least`` and ``most`` are the ends of the interval bars' scale; ``start`` counts the rows of
    the same group on pages before.
    """

    title: str
    under: str
    flow: str
    dataset: str
    lines: tuple[LeaderboardRow, ...]
    bars: tuple[Bar, ...]
    notes: tuple[str, ...]
    reference: float | None
    least: float
    most: float
    start: int = 0

    @property
    def has_published(self) -> bool:
        """True if any row has a printed number beside it."""
        return any(line.published for line in self.lines)

    def at(self, value: float) -> float:
        """Return where a value lies on the scale, 0 to 100; outside it for bars far off."""
        return round(100 * (value - self.least) / (self.most - self.least), 2)


@dataclass(frozen=True)
class Leaderboard:
    """All tables. ``apart`` says what keeps tables of one flow and data set from each other."""

    tables: tuple[LeaderboardTable, ...]
    diverged: int
    failed: int
    apart: tuple[str, ...] = ()


def read_leaderboard(
    store: Store, sweep_id: str | None, pages: Mapping[TrialKey, str]
) -> Leaderboard:
    """Return the leaderboard of a sweep, or of all results.

    ``pages`` are the trials' by key. Above `LARGE` results there are no single ones.
    """
    large = sweep_id is None and count_results(store) > LARGE
    return make_tables(read_board(store, sweep_id=sweep_id), pages, singly=not large)


def count_results(store: Store) -> int:
    """Return how many results the database holds."""
    found = run_query(store, number_of_results_query()).rows[0]["results"]
    return int(str(found)) if found is not None else 0


def make_tables(board: Board, pages: Mapping[TrialKey, str], *, singly: bool = True) -> Leaderboard:
    """Return the tables of a board."""
    tables = tuple(_table(group, pages, singly) for group in board.groups)
    return Leaderboard(tables, board.diverged, board.failed, board.apart)


def paginate_tables(
    tables: Sequence[LeaderboardTable], most: int = PER_PAGE
) -> list[list[LeaderboardTable]]:
    """Return tables in order on pages of so many rows; a longer one continues on the next page."""
    found: list[list[LeaderboardTable]] = [[]]
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


def _table(group: Group, pages: Mapping[TrialKey, str], singly: bool) -> LeaderboardTable:
    title, under = format_titles(group)
    ranks = Counter(row.rank for row in group.rows)
    lines = tuple(_line(group, row, ranks[row.rank] > 1, pages, singly) for row in group.rows)
    reference = next((row.mean for row in group.rows if row.reference), None)
    least, most = _scale(lines)
    return LeaderboardTable(
        title=title,
        under=under,
        flow=group.flow,
        dataset=f"{group.dataset} ({group.variant})",
        lines=lines,
        bars=tuple(bar for bar in group.bars if bar.bits_per_dim is not None),
        notes=tuple(list_lines_below(group)),
        reference=reference,
        least=least,
        most=most,
    )


def _line(
    group: Group, row: BoardRow, tied: bool, pages: Mapping[TrialKey, str], singly: bool
) -> LeaderboardRow:
    difference = row.difference
    key = (group.data_digest, group.recipe_id, group.protocol)
    own = (row.factorization, row.budget, row.map_options)
    return LeaderboardRow(
        name=row.label,
        budget=row.budget,
        options=row.map_options,
        n=row.n,
        mean=row.mean,
        deviation=row.deviation,
        low=row.low,
        high=row.high,
        seeds=tuple(
            LeaderboardSeed(seed, value, pages.get((*key, *own, seed)))
            for seed, value in zip(row.seeds, row.bits_per_dim, strict=True)
            if singly
        ),
        difference=None if difference is None else difference.mean,
        half=None if difference is None else difference.half_width,
        rank=row.rank,
        tied=tied,
        published=row.published,
        reference=row.reference,
        cleared=row.cleared,
        lost=row.diverged + row.failed,
    )


def _scale(lines: Sequence[LeaderboardRow]) -> tuple[float, float]:
    """Return the ends of the bars' scale: all intervals and seeds, with some room."""
    values = [line.mean for line in lines if line.mean is not None]
    values += [v for line in lines for v in (line.low, line.high) if v is not None]
    values += [seed.bits_per_dim for line in lines for seed in line.seeds]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    least, most = min(finite), max(finite)
    room = 0.04 * (most - least) or 0.5
    return least - room, most + room


# Rows as HTML, without a template, since there may be 100,000


def rows_as_html(table: LeaderboardTable) -> Markup:
    """Return the rows of a table with their interval bars; all stored text is escaped."""
    published = table.has_published
    base = ""
    if table.reference is not None:
        at = table.at(table.reference)
        base = f'<line class="base" x1="{at}" x2="{at}" y1="0" y2="14"/>'
    return Markup(  # noqa: S704 - of parts that are escaped
        "\n".join(_row(table, line, base, published) for line in table.lines)
    )


def _row(table: LeaderboardTable, line: LeaderboardRow, base: str, published: bool) -> str:
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


def _rank(line: LeaderboardRow) -> str:
    if line.rank is None:
        return '<td class="num" data-value="">-</td>'
    shared = "=" if line.tied else ""
    return f'<td class="num" data-value="{line.rank}">{line.rank}{shared}</td>'


def _number(kind: str, text: str) -> str:
    return f'<td class="{kind}">{text}</td>'


def _name(line: LeaderboardRow) -> str:
    found = escape(printable(line.name))
    if line.reference:
        found += Markup(' <abbr title="differences are from this row">*</abbr>')
    if line.cleared is False:
        found += Markup(' <abbr title="does not clear the bars: undertrained">†</abbr>')
    if line.options is not None:
        found += Markup(" <small>{}</small>").format(printable(line.options))
    if line.lost:
        found += Markup(' <small class="lost">{} lost</small>').format(line.lost)
    return found


def _bar(table: LeaderboardTable, line: LeaderboardRow, mean: float, base: str) -> str:
    label, drawn = f"mean {mean:.4f}", ""
    if line.low is not None and line.high is not None:
        label += f", 95 % interval {line.low:.4f} to {line.high:.4f}"
        low, high = table.at(line.low), table.at(line.high)
        drawn = f'<rect class="range" x="{low}" width="{high - low:.2f}" y="4" height="6"/>'
    if line.seeds:
        label += "; seeds " + " ".join(f"{s.bits_per_dim:.4f}" for s in line.seeds)
    for seed in line.seeds:
        at = table.at(seed.bits_per_dim)
        drawn += f'<line class="seed" x1="{at}" x2="{at}" y1="2" y2="12"/>'
    at = table.at(mean)
    return (
        f'<svg viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'{drawn}{base}<line class="mean" x1="{at}" x2="{at}" y1="0" y2="14"/></svg>'
    )


def _published(line: LeaderboardRow) -> Markup:
    found = Markup(" ").join(
        Markup('<abbr title="{}{}">{:.2f}</abbr>').format(
            printed.where, f": {printed.note}" if printed.note else "", printed.bits_per_dim
        )
        for printed in line.published
    )
    return found or Markup("-")
