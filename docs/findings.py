"""Numbers, tables and pictures of the documentation, made from the reference database.

    python docs/findings.py            # write them (`make findings`)
    python docs/findings.py --check    # only say where they differ (`make check-findings`)

A page has what is made between two comments, the first of which says what it is:

    `low` needs <!-- mean of=low flow=realnvp -->5.146<!-- end --> bits/dim.

- `mean of=NAME KEY=VALUE ...`: the mean of a row of the board; `deviation`, `n`, `rank` alike
- `difference of=NAME from=NAME KEY=VALUE ...`: a difference paired by seed, ± 95 %; `pairs` alike:
  how many it is of
- `sql SELECT ...`: the value of a query, or its rows as a table
- `board KEY=VALUE ...`, `verdicts KEY=VALUE ...`: as `lcma export --format md` writes them
- `claims KEY=VALUE ...`: a row for each verdict, in short
- `decisions KEY=VALUE ...`: a row for each claim, with the models of which each decision is, or
  that it was not measured
- `lattices KEY=VALUE ...`: what `low` keeps of windows at the first split, by colour
- `budgets KEY=VALUE ...`: what `lcma budgets` shows of one rule's pretrainings
- `picture KIND KEY=VALUE ...`: an image, whose file is drawn: `board`, `forest`, `maps`, `curves`
  or `budgets`

Each KEY is a column of `trial_results`, such as `flow`, `dataset`, `steps` or `profile`; or `by`,
the measure; or `places`, the digits behind the point (3); or `recipe`, how the id of a recipe
begins, for numbers. `budget` chooses among rows of one rule (1000; of a forest all others are left
out), and `maps` those whose map
options have this word; without it, those with none.

Markdown takes a line that begins with a comment for HTML, to its end: within a sentence no line
does, and around a table or a picture both comments are paragraphs of their own.
"""

import argparse
import io
import math
import os
import re
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcma.db import Store, connect
from lcma.db.query import run_query
from lcma.harness.place import find_place
from lcma.harness.report.board import board_as_markdown, render_board
from lcma.harness.report.budget_pictures import draw_budget_curves
from lcma.harness.report.budgets import budgets_as_markdown
from lcma.harness.report.curve_pictures import draw_charts
from lcma.harness.report.forest import draw_forest
from lcma.harness.report.gallery import draw_maps
from lcma.harness.report.targets import PictureTarget, format_of
from lcma.harness.report.verdicts import (
    list_decisions,
    summarize_verdicts,
    verdicts_as_markdown,
)
from lcma.harness.results.board import Board, BoardRow, read_board
from lcma.harness.results.budgets import BudgetCurve, read_budget_curves
from lcma.harness.results.curves import (
    choose_trainings,
    filter_trainings,
    read_charts,
    read_conventional,
)
from lcma.harness.results.filters import parse_filters
from lcma.harness.results.maps import USUAL, filter_map_sets, list_map_sets
from lcma.harness.results.verdicts import Verdicts, read_verdicts
from lcma.harness.tables import Table, TableColumn, make_table, table_as_markdown
from lcma.harness.terminal import Console, print_error, print_line
from lcma.harness.text import format_number
from lcma.models.factorization import windows
from lcma.sweeps import factorizations, known_sets
from lcma.sweeps.errors import UserError

ROOT = Path(__file__).parents[1]

PAGES = ("README.md", "docs/findings.md", "docs/findings-in-full.md")

MADE = re.compile(
    r"<!-- (?P<kind>mean|deviation|n|rank|difference|pairs|sql|board|verdicts|claims|decisions|"
    r"lattices|budgets|picture)\b(?P<rest>[^\n]*?) -->(?P<text>.*?)<!-- end -->",
    re.DOTALL,
)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
IMAGE = re.compile(r"!\[[^\]]*\]\((?P<path>[^)]+)\)")

MOST_ROWS = 1000

USUAL_BUDGET = "1000"
"""The pretraining of a rule that has results after several, where none is named."""

WIDTH = 100
"""Columns of a picture of a board."""

POSITIONS = {
    "ab": "top row",
    "cd": "bottom row",
    "ac": "left column",
    "bd": "right column",
    "ad": "even diagonal",
    "bc": "odd diagonal",
}
"""What two positions of a window a b over c d are."""

CONTRASTS = np.array([[1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2
"""Row against row, column against column, diagonal against diagonal: all that varies in a window
around its mean."""

Words = Mapping[str, list[str]]


class Lattice(NamedTuple):
    """The pair that a map keeps in most windows, by channel, and the shares of `CONTRASTS`."""

    pairs: tuple[str, ...]
    shares: NDArray[np.float64]


Known = dict[str, Any]
"""What was read, by what was asked for: most of the pages' numbers are of few boards."""


def make_page(
    text: str, folder: Path, store: Store, draw: bool = True, known: Known | None = None
) -> str:
    """Return a page with all that is made from a database made anew; draw its pictures.

    Args:
        text: The page.
        folder: Where it lies, to which the paths of pictures are relative.
        store: The database.
        draw: Draw pictures too.
        known: What other pages have read from the same database; what this one reads is added.

    Raises:
        UserError: A comment asks for what there is not, or for several things.
    """
    known = {} if known is None else known

    def replace(found: re.Match[str]) -> str:
        kind, rest = found["kind"], found["rest"].strip()
        try:
            if kind == "picture":
                image = IMAGE.search(found["text"])
                if image is None:
                    raise UserError("name its file: ![TEXT](FILE)")
                if draw:
                    _draw(rest, store, folder / image["path"])
                return found[0]
            made = _make(kind, rest, store, known)
        except UserError as error:
            raise UserError(f"<!-- {kind} {rest} -->: {error}") from None
        before = found[0][: found.start("text") - found.start()]
        return f"{before}{made}<!-- end -->"

    return MADE.sub(replace, text)


def _make(kind: str, rest: str, store: Store, known: Known) -> str:
    if kind == "sql":
        found = run_query(store.database, rest, limit=MOST_ROWS, timeout=30.0)
        if len(found.rows) == len(found.columns) == 1:
            return str(found.rows[0][0])
        return f"\n\n{table_as_markdown(make_table(found))}\n"
    words = _split(rest)
    if kind == "lattices":
        return f"\n\n{table_as_markdown(_list_lattices(words, store))}\n"
    if kind == "budgets":
        return f"\n\n{budgets_as_markdown(_read_budgets(words, store))}\n"
    if kind == "board":
        board = _read_board(words, store, known)
        return f"\n\n{board_as_markdown(board)}\n"
    if kind in OF_VERDICTS:
        return f"\n\n{OF_VERDICTS[kind](_read_verdicts(words, store, known))}\n"
    places = int(_one(words, "places", "3"))
    if kind in ("difference", "pairs"):
        against = _one(words, "from")
        row = _row(_read_board(words, store, known, against=against), words)
        if row.difference is None:
            raise UserError("the two have no seed in common")
        if kind == "pairs":
            return str(row.difference.n)
        half, mean = (
            row.difference.half_width,
            format_number(row.difference.mean, places, sign=True),
        )
        return mean if half is None else f"{mean} ± {format_number(half, places)}"
    row = _row(_read_board(words, store, known), words)
    value = getattr(row, kind)
    if value is None:
        raise UserError("there is no such number of one seed alone")
    return format_number(value, places) if isinstance(value, float) else str(value)


def _read_board(words: Words, store: Store, known: Known, **options: str) -> Board:
    return _read(read_board, store, known, _options(words) | _where(words) | options)


def _read(read: Callable[..., Any], store: Store, known: Known, chosen: dict[str, Any]) -> Any:
    if (key := f"{read.__name__} {chosen!r}") not in known:
        known[key] = read(store, **chosen)
    return known[key]


OF_VERDICTS: Mapping[str, Callable[[Verdicts], str]] = {
    "verdicts": verdicts_as_markdown,
    "claims": lambda found: table_as_markdown(summarize_verdicts(found)),
    "decisions": lambda found: table_as_markdown(list_decisions(found)),
}


def _read_verdicts(words: Words, store: Store, known: Known) -> Verdicts:
    found: Verdicts = _read(read_verdicts, store, known, _options(words) | _where(words))
    return found


def _split(rest: str) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for word in rest.split():
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"'{word}' is not KEY=VALUE")
        words.setdefault(name, []).append(value)
    return words


def _one(words: Words, name: str, default: str | None = None) -> str:
    given = words.get(name, [default] if default is not None else [])
    if len(given) != 1:
        raise UserError(f"give one {name}=")
    return given[0]


def _where(words: Words) -> dict[str, Any]:
    own = {"of", "from", "by", "places", "budget", "maps", "recipe"}
    pairs = [f"{name}={value}" for name, some in words.items() for value in some if name not in own]
    return parse_filters(pairs)


def _options(words: Words) -> dict[str, Any]:
    return {"measure": _one(words, "by")} if "by" in words else {}


def _row(board: Board, words: Words) -> BoardRow:
    # A name that several models have has to come with what tells them apart.
    name, budget = _one(words, "of"), int(_one(words, "budget", USUAL_BUDGET))
    names, recipe = {name, factorizations.normalize(name)}, _one(words, "recipe", "")
    found = [
        row
        for group in board.groups
        if group.recipe_id.startswith(recipe)
        for row in group.rows
        if names & {row.factorization, row.label.split(" ")[0]}
        or (row.conventional and name == "conventional")
    ]
    if len(found) > 1 or "budget" in words:
        found = [row for row in found if row.budget == budget]
    if len(found) > 1 or "maps" in words:
        options = _one(words, "maps", "")
        found = [row for row in found if options in (row.map_options or "")]
        if not options:
            found = [row for row in found if row.map_options is None]
    if len(found) != 1:
        what = "no row" if not found else f"{len(found)} rows"
        raise UserError(f"{what} of {name}: give flow=, dataset=, recipe= that choose one")
    return found[0]


def _draw(rest: str, store: Store, path: Path) -> None:
    kind, _, words = rest.partition(" ")
    if kind not in PICTURES:
        raise UserError(f"no picture of '{kind}': there are {', '.join(PICTURES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    PICTURES[kind](_split(words), store, path)


def _draw_board(words: Words, store: Store, path: Path) -> None:
    console = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)
    console.print(render_board(read_board(store, **_options(words), **_where(words)), notes=False))
    path.write_text(console.export_svg(title="lcma board", unique_id="board"))


def _draw_forest(words: Words, store: Store, path: Path) -> None:
    board = read_board(store, **_options(words), **_where(words))
    if "budget" in words:
        budgets = (None, int(_one(words, "budget")))
        board = replace(
            board,
            groups=tuple(
                replace(
                    group,
                    rows=tuple(
                        row
                        for row in group.rows
                        if row.budget in budgets and row.map_options is None
                    ),
                )
                for group in board.groups
            ),
        )
    draw_forest(board, path)


def _draw_maps(words: Words, store: Store, path: Path) -> None:
    given = {name: _one(words, name) for name in words}
    filters: dict[str, Any] = {
        "recipe_id" if name == "recipe" else name: (
            int(value) if name in ("seed", "budget") else value,
        )
        for name, value in given.items()
    }
    sets = filter_map_sets(list_map_sets(store), {"score": (USUAL,), **filters})
    with tempfile.TemporaryDirectory() as folder:
        target = PictureTarget(Path(folder), format_of(path) or PictureTarget.form)
        sheets = draw_maps(store, sets, target)
        _take_one(sorted(Path(folder).glob("maps-*")), path, len(sheets))


def _draw_curves(words: Words, store: Store, path: Path) -> None:
    known = choose_trainings(store, [], words.get("sweep", [None])[0], pretrainings=False)
    conventional = read_conventional(store, known)
    filters = {name: (_one(words, name),) for name in words if name != "sweep"}
    chosen = filter_trainings(
        known, budget=None, named=[], conventional=conventional, filters=filters
    )
    charts = read_charts(store, chosen, conventional, None, None).charts
    with tempfile.TemporaryDirectory() as folder:
        target = PictureTarget(Path(folder), format_of(path) or PictureTarget.form)
        drawn = draw_charts(charts, target)
        _take_one(drawn, path, len(drawn))


def _read_budgets(words: Words, store: Store) -> list[BudgetCurve]:
    rule = _one(words, "factorization")
    where = _where({name: some for name, some in words.items() if name != "factorization"})
    curves = read_budget_curves(store, factorization=rule, **where)
    recipe = _one(words, "recipe", "")
    return [
        one
        for one in curves
        if one.key.map_options is None and one.key.recipe_id.startswith(recipe)
    ]


def _list_lattices(words: Words, store: Store) -> Table:
    """Return a row for each kind of pretraining of `USUAL_BUDGET` steps, over its seeds."""
    found = defaultdict[tuple[str, ...], list[Lattice]](list)
    sets = {
        (one.key.pretraining_id, one.key.data_digest): one
        for one in list_map_sets(store)
        if (one.key.score, one.key.nms, one.key.budget) == (USUAL, "squeezed", int(USUAL_BUDGET))
        and all(getattr(one.key, name) in some for name, some in words.items())
    }
    chosen = {"split": 1, "budget": int(USUAL_BUDGET), "score": USUAL}
    for item in store.maps(**chosen, pretraining_id=[pretraining for pretraining, _ in sets]):
        one = sets[item.pretraining_id, item.data_digest]
        images = known_sets.set_name(one.key.dataset, one.key.variant)
        flow = one.key.flow + (f", masks {one.masks}" if one.masks == "even-first" else "")
        found[images, flow, one.model].append(_measure_lattice(windows(item.values)))
    colours = ("red", "green", "blue")
    rows = []
    for (images, flow, _), some in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        pairs = [Counter(one.pairs[k] for one in some) for k in range(len(colours))]
        kept = [", ".join(f"{POSITIONS[pair]} {n}" for pair, n in c.most_common()) for c in pairs]
        shares = [f"{100 * share:.0f}" for share in np.mean([one.shares for one in some], axis=0)]
        rows.append((flow, images, len(some), *kept, " / ".join(shares)))
    heads = ("flow", "images", "seeds", *colours, "variance: rows / columns / diagonals, %")
    return Table(tuple(TableColumn(head.split(":")[0], head) for head in heads), tuple(rows))


def _measure_lattice(values: NDArray[Any]) -> Lattice:
    """Return what `low` keeps in most windows (C, H/2, W/2, 4) of each channel, and what varies."""
    highest = np.sort(np.argsort(-values, axis=-1, kind="stable")[..., :2], axis=-1)
    names = ("".join("abcd"[k] for k in pair) for pair in highest.reshape(-1, 2))
    by_channel = np.array(list(names)).reshape(len(values), -1)
    around = values.astype(np.float64) - values.mean(axis=-1, keepdims=True, dtype=np.float64)
    parts = np.square(around @ CONTRASTS.T).sum(axis=(0, 1, 2))
    pairs = tuple(Counter(channel.tolist()).most_common(1)[0][0] for channel in by_channel)
    return Lattice(pairs, parts / parts.sum())


def _draw_budgets(words: Words, store: Store, path: Path) -> None:
    curves = _read_budgets(words, store)
    draw_budget_curves(curves, PictureTarget(path, format_of(path) or PictureTarget.form, True))


def _take_one(drawn: list[Path], path: Path, number: int) -> None:
    if len(drawn) != 1:
        raise UserError(f"that is {number} pictures: give flow=, dataset=, seed= that choose one")
    shutil.copyfile(drawn[0], path)


PICTURES: Mapping[str, Callable[[Words, Store, Path], None]] = {
    "board": _draw_board,
    "forest": _draw_forest,
    "maps": _draw_maps,
    "curves": _draw_curves,
    "budgets": _draw_budgets,
}


def is_alike(page: str, made: str, *, exact: bool) -> bool:
    """Return whether a page says what is made: to the byte, or its numbers as far as they go.

    The last digit of a number may differ by one, as sums in another order give it.
    """
    if exact or page == made:
        return page == made
    if NUMBER.split(page) != NUMBER.split(made):
        return False
    pairs = zip(NUMBER.findall(page), NUMBER.findall(made), strict=True)
    return all(_is_near(one, other) for one, other in pairs)


def _is_near(one: str, other: str) -> bool:
    places = len(one.partition(".")[2].partition("e")[0])
    return math.isclose(float(one), float(other), rel_tol=1e-9, abs_tol=1.01 * 10.0**-places)


def find_differences(root: Path, store: Store, *, exact: bool) -> list[str]:
    """Return the pages whose numbers are not those of a database."""
    found, known = [], Known()
    for name in PAGES:
        page = (root / name).read_text()
        made = make_page(page, (root / name).parent, store, draw=False, known=known)
        if not is_alike(page, made, exact=exact):
            found.append(name)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Write the pages or check them; return the exit code."""
    parser = argparse.ArgumentParser(prog="docs/findings.py", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    parser.add_argument("--db", default="reference", help="another database than the reference")
    options = parser.parse_args(arguments)
    try:
        store = connect(find_place(options.db, None, None).db, create=False)
        if options.check:
            found = find_differences(ROOT, store, exact="CI" in os.environ)
            for name in found:
                print_line(f"{name} has other numbers than the reference: run `make findings`")
            return int(bool(found))
        known = Known()
        for name in PAGES:
            path = ROOT / name
            path.write_text(make_page(path.read_text(), path.parent, store, known=known))
            print_line(f"made {name}")
    except UserError as error:
        print_error(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
