"""The page that queries the database in the browser: the database, SQLite, and their scripts.

A page opened from a file may not fetch, so both come in script files, in base64. They are loaded
when a reader runs the first query.
"""

import base64
import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lcma.db import Store, Unavailable, publishing
from lcma.harness.show.site.rendering import POLICY, read_asset
from lcma.sweeps.errors import UserError

LIMIT = 20 * 2**20
"""Most bytes of a database that is queried in the page; a larger one is there as a file alone."""

DATABASE = "data/results.sqlite"
DATABASE_SCRIPT = "data/database.js"

CONSOLE_POLICY = (
    POLICY.replace("script-src 'self' file:", "script-src 'self' file: 'wasm-unsafe-eval'")
    + "; worker-src blob:"
)
"""Content-Security-Policy of this page alone: WebAssembly, in a worker that the page makes."""


@dataclass(frozen=True)
class SiteDatabase:
    """Database that `lcma db publish` makes of a site's results; empty where it makes none."""

    content: bytes = b""

    @property
    def queried(self) -> bool:
        """Whether the page queries it."""
        return 0 < len(self.content) <= LIMIT


def publish_database(store: Store, sweep_id: str | None) -> SiteDatabase:
    """Return the database of a site, without users, hosts, arguments, messages and places.

    It is empty where nothing has ended yet, or where the source has a fault: `lcma db publish` says
    which, with names of files that are none of a reader's business.
    """
    sweep_ids = [] if sweep_id is None else [sweep_id]
    with tempfile.TemporaryDirectory(prefix="lcma-site-") as folder:
        out = Path(folder, "results.sqlite")
        try:
            publishing.publish(store.database, out, sweep_ids=sweep_ids)
        except Unavailable:
            raise
        except UserError:
            return SiteDatabase()
        return SiteDatabase(out.read_bytes())


def database_script(content: bytes) -> bytes:
    """Return the script file of a database, compressed."""
    return _assign("lcmaDatabase", _encode(gzip.compress(content, mtime=0)))


def sqljs_script() -> bytes:
    """Return the script file of SQLite, and of what a worker does with it."""
    found = {
        "sqljs": read_asset("sqljs/sql-wasm-browser.js").decode(),
        "worker": read_asset("sql_worker.js").decode(),
        "wasm": _encode(read_asset("sqljs/sql-wasm.wasm")),
    }
    return _assign("lcmaSqljs", found)


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _assign(name: str, value: object) -> bytes:
    return f"window.{name} = {json.dumps(value, sort_keys=True)};\n".encode()
