"""`lcma db init`: an empty database."""

from lcma.harness.cli.options import Db


def init(db: Db = None) -> None:
    """Make the database, or say which schema the one that is there has, and leave it as it is."""
    from lcma.db import locate, migrate
    from lcma.db.schema import REVISIONS
    from lcma.harness.place import find_place

    database = locate(find_place(db, None, None).db)
    found = database.identify()
    migrate.refuse_newer(database, found)
    if not found.exists:
        made = migrate.upgrade(database)
        if made.before is None:
            print(f"made {database.name}, schema {made.after}")
            return
        found = database.identify()
    older = "" if found.revision == REVISIONS[-1] else "; newer: lcma db upgrade"
    print(f"{database.name} is there, schema {found.revision}{older}")
