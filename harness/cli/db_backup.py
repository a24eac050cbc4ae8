"""`lcma db backup`: a copy of the database, while others write."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Db


def backup(
    db: Db = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Where to; nothing may be there [beside the database, with the time in its name]",
        ),
    ] = None,
) -> None:
    """Copy a SQLite database as it was last committed, whoever writes meanwhile.

    For a server it ends with the command that copies its database.
    """
    from lcma.db import locate, migrate
    from lcma.harness.place import find_place

    database = locate(find_place(db, None, None).db)
    migrate.require(database, database.identify())
    copy = database.backup(None if out is None else out.expanduser().absolute())
    print(f"copied {database.name} to {copy}")
