"""`lcma db`: upgrade, check, copy, merge and publish results databases."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json, OwnDb, Where, choose_sweep, open_store
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db.merge import MergeReport

app = typer.Typer(
    help="Upgrade, check, copy, merge and publish results databases.", no_args_is_help=True
)


@app.command()
def upgrade(
    db: OwnDb = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Upgrade while jobs run, even if their workers are older"),
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
            f"there are no results at {database.name} to upgrade: the first launch makes a database"
        )
    migrate.require_known(database, identity, check_views=False)
    others = migrate.find_other_views(database, identity)
    upgraded = migrate.upgrade(database, force=force, anew=bool(others))
    if upgraded.before != upgraded.after:
        print_line(f"upgraded {database.name} from schema {upgraded.before} to {upgraded.after}")
    elif others:
        names = ", ".join(others)
        print_line(f"made the views of {database.name} again, since these differed: {names}")
    else:
        print_line(f"{database.name} has the current schema, {upgraded.after}")
        return
    if upgraded.copy is not None:
        print_line(f"a copy from before the upgrade: {upgraded.copy}")
    else:
        print_line("no copy was made: backups of a server are up to its owner")


@app.command()
def check(db: Db = None, json: Json = False) -> None:
    """Look for damage and impossible states. Nothing is changed.

    This runs the engine's own check and checks references, states of jobs and
    attempts, types, curves, maps, index tables and hashes. Each fault is a line
    with its table and row. Exit code 1 if there is a fault.
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
            help="The copy, a new file (default: beside the database, with the time in its name)",
        ),
    ] = None,
) -> None:
    """Copy a SQLite database as of its last commit, even while others write to it.

    For a PostgreSQL database, fail and print the command that copies it.
    """
    from lcma.db import locate, migrate
    from lcma.harness.place import find_place, is_published_database, name_database
    from lcma.harness.terminal import print_line

    if out is None and is_published_database(name_database(db)):
        raise UserError(
            "a published database has no place beside it for a copy: name the copy with --out FILE"
        )
    database = locate(find_place(db, None, None).db)
    migrate.require_existing(database, database.identify())
    if database.one_host and out is not None and out.suffix not in (".db", ".sqlite"):
        raise UserError(f"--out {out} would not be read as a database: end it in .db or .sqlite")
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
    """Copy what another database has and this one lacks.

    Of two evaluations of one measure the earlier one stays, or the bound of more
    draws. The other database is not changed. Merging again adds nothing.
    """
    from lcma.db import locate
    from lcma.db.merge import merge as merge_databases
    from lcma.harness.place import find_place, is_published_database
    from lcma.harness.terminal import reporting_progress
    from lcma.harness.text import to_json

    target = locate(find_place(db, None, None, write=True).db)
    source_place = find_place(source, None, None).db
    if "://" not in source_place and not Path(source_place).exists():
        raise UserError(f"there are no results at {source_place}: give a database to merge from")
    with reporting_progress() as progress:
        report = merge_databases(locate(source_place), target, dry_run=dry_run, progress=progress)
    if is_published_database(source):  # show its name, not that of the unpacked copy in the cache
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
    counts = {name: tuple(asdict(table).values()) for name, table in report.tables.items()}
    lines = tuple((name, *numbers) for name, numbers in counts.items() if any(numbers))
    Console().print(render_table(Table(columns, lines)))
    if report.changed:
        rows = sum(table.new + table.filled for table in report.tables.values())
        verb = "would be copied" if report.dry_run else "copied"
        print_line(f"{format_count(rows, 'row')} {verb} from {report.source} to {report.target}")
    else:
        print_line(f"nothing in {report.source} is new to {report.target}")
    if "artifacts" in report.tables and report.tables["artifacts"].new:
        print("no files are copied: for these, copy the other site's runs folder into yours")


@app.command()
def publish(
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help="The new file: .db or .sqlite; .sqlite.xz compresses it"
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

    It has all selected trials that have ended, also those that failed, with every
    attempt, at most 60 points of each curve, and the maps that a trial read. It
    has no users, hosts, arguments, messages, logs, places, files or weights. A
    manifest beside it has digests, versions and the licences of the data.
    """
    import sqlalchemy as sa

    from lcma.db import publishing
    from lcma.harness.results.filters import complete_ids, parse_filters
    from lcma.harness.shards import require_new, write_shard
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import format_count, format_size, to_json

    out = out.expanduser()
    require_new(out)
    for condition in where or ():
        key = condition.partition("=")[0].strip()
        if key not in publishing.KEYS:
            raise UserError(
                f"--where {condition!r}: select trials by what is known before they run: "
                f"{', '.join(publishing.KEYS)}"
            )
    filters = parse_filters(where or ())
    store = open_store(db)
    filters = complete_ids(
        filters,
        lambda name: [i for (i,) in store.rows(sa.select(publishing.KEYS[name]).distinct())],
    )
    sweeps = [choose_sweep(store, name) for name in sweep or ()]
    with (
        tempfile.TemporaryDirectory(prefix="lcma-publish-") as folder,
        reporting_progress() as progress,
    ):
        database = Path(folder, "published.sqlite")
        published = publishing.publish(
            store.database,
            database,
            where=filters,
            sweep_ids=[sweep.id for sweep in sweeps],
            progress=progress,
        )
        selection = {"sweeps": [sweep.name for sweep in sweeps], "where": where or []}
        manifest = write_shard(database, published, selection, out)
    if json:
        print(to_json(manifest))
        return
    states = ", ".join(f"{number} {state}" for state, number in published.trials.items())
    trials = format_count(sum(published.trials.values()), "trial")
    print_line(f"published {trials} ({states}) to {out}, {format_size(manifest['file']['bytes'])}")
    if published.unfinished:
        unfinished = format_count(published.unfinished, "trial")
        print_line(f"left out {unfinished} of the selection that had not ended")
    for row in manifest["data"]:
        print_line(f"licence of {row['name']}: {row['licence']}")
