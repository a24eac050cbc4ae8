"""`lcma db`: making, upgrading, checking, copying, merging and publishing results databases."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json, OwnDb, Where, choose_sweep
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db.merge import MergeReport

app = typer.Typer(
    help="Make, upgrade, check, copy, merge and publish results databases.", no_args_is_help=True
)


@app.command()
def init(db: OwnDb = None) -> None:
    """Make an empty database. One that is there is left as it is, and its schema is printed."""
    from lcma.db import locate, migrate
    from lcma.harness.place import find_place
    from lcma.harness.terminal import print_line

    database = locate(find_place(db, None, None, write=True).db)
    identity = database.identify()
    migrate.require_known(database, identity)
    if not identity.exists:
        made = migrate.upgrade(database)
        if made.before is None:
            print_line(f"made {database.name}, schema {made.after}")
            return
        identity = database.identify()
    older = "" if identity.revision == migrate.current_version() else "; newer: lcma db upgrade"
    print_line(f"{database.name} is there, schema {identity.revision}{older}")


@app.command()
def upgrade(
    db: OwnDb = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Upgrade even while jobs run, whose workers may be older"),
    ] = False,
) -> None:
    """Bring the database to the current schema. A SQLite file is first copied beside itself."""
    from lcma.db import locate, migrate
    from lcma.harness.place import find_place
    from lcma.harness.terminal import print_line

    database = locate(find_place(db, None, None, write=True).db)
    identity = database.identify()
    if not identity.exists:
        raise UserError(
            f"there are no results at {database.name} to upgrade: `lcma db init` makes a database"
        )
    migrate.require_known(database, identity, of_views=False)
    others = migrate.find_other_views(database, identity)
    done = migrate.upgrade(database, force=force, anew=bool(others))
    if done.before != done.after:
        print_line(f"upgraded {database.name} from schema {done.before} to {done.after}")
    elif others:
        print_line(f"made the views of {database.name} anew, for {', '.join(others)}")
    else:
        print_line(f"{database.name} has the current schema, {done.after}")
        return
    if done.copy is not None:
        print_line(f"as it was before: {done.copy}")
    else:
        print_line("no copy was made: that is up to the server's owner")


@app.command()
def check(db: Db = None, json: Json = False) -> None:
    """Look for damage and for states that cannot be. Nothing is changed.

    It reads what the engine says, references, states of jobs and attempts, types,
    curves, maps, index tables and hashes. A line for each fault names table and
    row. Exit code 1 if there is one.
    """
    from lcma.db import locate
    from lcma.db.integrity import check_integrity
    from lcma.harness.place import find_place
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import format_count, to_json

    database = locate(find_place(db, None, None).db)
    with reporting_progress() as progress:
        report = check_integrity(database, progress)
    if json:
        findings = [asdict(finding) for finding in report.findings]
        content = {"database": database.name, "read": report.read, "findings": findings}
        print(to_json(content))
    else:
        for finding in report.findings:
            print_line(finding)
        rows = ", ".join(f"{count} of {table}" for table, count in report.read.items())
        faults = format_count(len(report.findings), "fault") if report.findings else "no fault"
        print_line(f"{faults} found in {database.name}; rows read: {rows}")
    if report.findings:
        raise typer.Exit(1)


@app.command()
def backup(
    db: Db = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="The copy, a new file (default: beside the database, named by the time)",
        ),
    ] = None,
) -> None:
    """Copy a SQLite database as it was last committed, while others may write to it.

    For a PostgreSQL database, fail and name the command that copies it.
    """
    from lcma.db import locate, migrate
    from lcma.harness.place import find_place, is_published_database, name_database
    from lcma.harness.terminal import print_line

    if out is None and is_published_database(name_database(db)):
        raise UserError("a published database lies in the cache: name its copy with --out FILE")
    database = locate(find_place(db, None, None).db)
    migrate.require(database, database.identify())
    copy = database.backup(None if out is None else out.expanduser().absolute())
    print_line(f"copied {database.name} to {copy}")


@app.command()
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


@app.command()
def publish(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="The new file: .db or .sqlite, or .sqlite.xz for a compressed one"
        ),
    ],
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="NAME", help="Only this sweep, by name or id; repeatable"),
    ] = None,
    where: Where = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Copy results into a new SQLite database that can be given away.

    It has all trials of the selection that have ended, well or not, with every
    attempt. It has no users, hosts, arguments, messages, logs, places, files or
    weights; of a curve 60 points, of the maps those that a trial read. A manifest
    beside it has digests, versions and the licences of the data.
    """
    from lcma.db import connect, publishing
    from lcma.harness.place import find_place
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.shards import require_new, write_shard
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import format_count, format_size, to_json

    out = out.expanduser()
    require_new(out)
    for one in where or ():
        name = one.partition("=")[0].strip()
        if name not in publishing.KEYS:
            raise UserError(
                f"--where {one!r}: a selection to publish is by what is known before a trial runs: "
                f"{', '.join(publishing.KEYS)}"
            )
    filters = parse_filters(where or ())
    store = connect(find_place(db, None, None).db, create=False)
    sweeps = [choose_sweep(store, name) for name in sweep or ()]
    with (
        tempfile.TemporaryDirectory(prefix="lcma-publish-") as folder,
        reporting_progress() as progress,
    ):
        made = Path(folder, "published.sqlite")
        published = publishing.publish(
            store.database,
            made,
            where=filters,
            sweep_ids=[one.id for one in sweeps],
            progress=progress,
        )
        selection = {"sweeps": [one.name for one in sweeps], "where": where or []}
        about = write_shard(made, published, selection, out)
    if json:
        print(to_json(about))
        return
    states = ", ".join(f"{number} {state}" for state, number in published.trials.items())
    trials = format_count(sum(published.trials.values()), "trial")
    print_line(f"published {trials} ({states}) to {out}, {format_size(about['file']['bytes'])}")
    if published.unfinished:
        left = format_count(published.unfinished, "trial")
        print_line(f"{left} of the selection left out, not having ended yet")
    for one in about["data"]:
        print_line(f"licence of {one['name']}: {one['licence']}")
