"""Read-only SQL for users: one statement, held to reading by the engine itself."""

from db.engine import QueryResult, locate
from sweeps.errors import UserError


def run(url: str, sql: str, *, limit: int | None = 1000, timeout: float = 30.0) -> QueryResult:
    """Run one statement that reads, for at most `timeout` seconds; at most `limit` rows.

    Numbers are int or float and truth is 1 or 0 on both engines. Raises UserError in one line for
    anything else: a statement that writes, attaches a file or changes a setting, more than one
    statement, wrong SQL, or a query that takes too long.
    """
    database = locate(url)
    if not database.identify().exists:
        raise UserError(
            f"there are no results at {database.name}: make some with `lcma launch demo`"
        )
    if not sql.strip() or "\0" in sql:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    if limit is not None and limit < 0:
        raise UserError(f"a limit of {limit} rows makes no sense: give 0 or more")
    return database.query(sql, limit, timeout)
