"""`lcma db merge`: copying into a database what another one has."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Json, OwnDb
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db.merge import MergeReport


def merge(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="The other database: a file, a URL, or reference"),
    ],
    db: OwnDb = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be copied, and write nothing")
    ] = False,
    json: Json = False,
) -> None:
    """Copy what another database has and this one has not. Nothing here is overwritten.

    The other one is not changed. Merging again adds nothing.
    """
    from dataclasses import asdict, replace

    from lcma.db import locate
    from lcma.db.merge import merge as merge_databases
    from lcma.harness.place import find_place, is_published_database
    from lcma.harness.terminal import reporting_progress
    from lcma.harness.text import to_json

    ours = locate(find_place(db, None, None, write=True).db)
    named = find_place(source, None, None).db
    if "://" not in named and not Path(named).exists():
        raise UserError(f"there are no results at {named}: give a database to merge from")
    theirs = locate(named)
    with reporting_progress() as progress:
        report = merge_databases(theirs, ours, dry_run=dry_run, progress=progress)
    if is_published_database(source):  # not the unpacked copy in the cache
        report = replace(report, source=source)
    if json:
        print(to_json(asdict(report)))
    else:
        _print_report(report)


def _print_report(report: "MergeReport") -> None:
    from dataclasses import asdict

    from lcma.harness.show.tables import Table, TableColumn, render_table
    from lcma.harness.terminal import Console, print_line
    from lcma.harness.text import format_count

    numbers = ("new", "filled", "equal")
    columns = (TableColumn("table"), *(TableColumn(name, kind="number") for name in numbers))
    counted = {name: tuple(asdict(counts).values()) for name, counts in report.tables.items()}
    lines = tuple((name, *counts) for name, counts in counted.items() if any(counts))
    Console().print(render_table(Table(columns, lines)))
    if report.changed:
        rows = sum(counts.new + counts.filled for counts in report.tables.values())
        came = "would come" if report.dry_run else "came"
        print_line(f"{format_count(rows, 'row')} {came} from {report.source} to {report.target}")
    else:
        print_line(f"nothing in {report.source} is new to {report.target}")
    if report.studies:
        stay, them = ("stays", "it") if report.studies == 1 else ("stay", "them")
        print(f"{report.studies} of Optuna's studies {stay} there; trials made for {them} travel")
    if "artifacts" in report.tables and report.tables["artifacts"].new:
        print("files stay where they are: copy the other site's runs folder into yours for them")
