"""`lcma db backup`: copying a database while others write."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Db
from lcma.sweeps.errors import UserError


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
