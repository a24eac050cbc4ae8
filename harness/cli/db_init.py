"""`lcma db init`: making an empty database."""

from lcma.harness.cli.options import OwnDb


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
