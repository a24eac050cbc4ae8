"""`lcma maps`: contribution maps and the tables that follow from them, as pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import Db, Json, Out
from sweeps.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from harness.report.gallery import MapSheet
    from harness.report.lookup import MapKey

FOLDER = Path("lcma-pictures")


def maps(
    db: Db = None,
    out: Out = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set")] = None,
    budget: Annotated[int | None, typer.Option(help="Only this budget, in steps")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed")] = None,
    json: Json = False,
) -> None:
    """Draw every contribution map, and the index tables it leads to beside the fixed ones.

    Pictures go to --out (lcma-pictures): maps-*.png and tables-*.png for each pretraining,
    content of the data set and budget.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from db import connect
    from harness import place
    from harness.report import gallery, lookup
    from harness.report.text import to_json

    store = connect(place.find(db, None, None).db, create=False)
    filters = {"flow": flow, "dataset": dataset, "budget": budget, "seed": seed}
    keys = _chosen(lookup.map_keys(store), filters)
    sheets = gallery.draw_maps(store, keys, out or FOLDER)
    if json:
        content = [
            asdict(sheet.key)
            | {"splits": [asdict(s) for s in sheet.splits]}
            | {"maps": str(sheet.maps), "tables": str(sheet.tables)}
            for sheet in sheets
        ]
        print(to_json(content))
        return
    console = Console()
    console.print(_table(sheets))
    for path in gallery.paths(sheets):
        console.print(Text(str(path)), soft_wrap=True)


def _chosen(everything: "list[MapKey]", filters: dict[str, str | int | None]) -> "list[MapKey]":
    from harness.report.text import plain

    if not everything:
        raise UserError(
            "the database has no contribution maps yet: `lcma launch demo` makes some, "
            "`lcma status` shows what is under way"
        )
    wanted = {name: value for name, value in filters.items() if value is not None}
    for name, value in wanted.items():
        known = sorted({getattr(key, name) for key in everything})
        if value not in known:
            listed = ", ".join(map(str, known))
            raise UserError(f"no maps with --{name} {plain(value)}: there are {plain(listed)}")
    keys = [k for k in everything if all(getattr(k, n) == v for n, v in wanted.items())]
    if not keys:
        raise UserError("no maps meet all of these options at once: leave one out")
    return keys


def _table(sheets: "list[MapSheet]") -> "Table":
    from rich import box
    from rich.table import Table

    from harness.report.text import cell

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for heading in ("flow", "data set"):
        table.add_column(heading, overflow="fold")
    headings = ("budget", "seed", "split", "images", "clus-\nters", "log-det\n(nats)")
    for heading in (*headings, "largest\ns.e.", "sum\nerror", "tied\nwindows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for sheet in sheets:
        key = sheet.key
        for s in sheet.splits:
            largest = s.largest_standard_error
            table.add_row(
                *map(cell, (key.flow, key.dataset, key.budget, key.seed)),
                *map(cell, (s.split, s.images, s.clusters, f"{s.mean_log_det:.2f}")),
                cell(None if largest is None else f"{largest:.2g}"),
                *map(cell, (f"{s.sum_error:.1g}", f"{s.tied:.1%}")),
            )
    return table
