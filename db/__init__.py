"""The results database: what is planned, what runs, and what came out."""

from lcma.db.engine import Database as Database
from lcma.db.engine import QueryResult as QueryResult
from lcma.db.engine import Unavailable as Unavailable
from lcma.db.maps import overlap as overlap
from lcma.db.records import *  # noqa: F403 - each of the records, by its own name
from lcma.db.results import Conflict as Conflict
from lcma.db.store import Store as Store
from lcma.db.store import connect as connect
from lcma.db.store import exists as exists
from lcma.db.store import locate as locate
from lcma.db.store import run_sql as run_sql
from lcma.db.store import select_view as select_view
