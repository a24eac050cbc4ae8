"""`lcma db upgrade`: bringing a database to the current schema."""

from typing import Annotated

import typer

from lcma.harness.cli.options import OwnDb
from lcma.sweeps.errors import UserError


def upgrade(
    db: OwnDb = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also while jobs run, whose workers may be older.")
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
