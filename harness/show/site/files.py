"""The files of a site: the page, its scripts, and the database; and a folder of them."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from lcma.db import Store
from lcma.harness.extras import require_extra
from lcma.harness.files import write_file
from lcma.harness.show.site.database import SiteDatabase, Step, make_database
from lcma.harness.show.site.page import render_index
from lcma.harness.show.targets import require_addresses
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

_ASSETS = files("lcma.harness.show.site") / "assets"

MARK = ".lcma-site"
"""A file in every site; export replaces files only in a folder that has it."""


def write_site(
    store: Store,
    out: Path,
    *,
    sweep_id: str | None = None,
    measure: str = BITS_PER_DIM,
    step: Step = lambda _: None,
) -> int:
    """Write the site of a database into a folder, and return the number of its files.

    Each file is replaced whole, and none before all are made.

    Args:
        store: The database.
        out: The folder.
        sweep_id: Only this sweep's trials.
        measure: The measure by which the board is ranked.
        step: Called with the name of each step.

    Raises:
        UserError: The folder holds files but no former site, or cannot be written; or the extra
            `pictures` is not installed.
    """
    require_extra("pictures")
    out = out.expanduser().absolute()
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UserError(f"{printable(out)} is not a folder: give --out one that is new or empty")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise UserError(
            f"{printable(out)} holds other files than a site of lcma: give --out a new folder"
        )
    database = make_database(store, sweep_id=sweep_id, measure=measure, step=step)
    step("writing pages")
    contents = {name: make() for name, make in ASSETS.items()} | make_page_files(database)
    for name, content in {MARK: b"made by `lcma export --format html`\n", **contents}.items():
        write_file(out / name, content)
    return len(contents)


def make_page_files(database: SiteDatabase, *, live: bool = False) -> dict[str, bytes]:
    """Return the files that depend on the results; a live page polls for newer ones."""
    return {
        "database.js": _assign("lcmaDatabase", _encode(gzip.compress(database.content, mtime=0))),
        "index.html": render_index(database, live=live),
    }


def _read(name: str) -> bytes:
    return (_ASSETS / name).read_bytes()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _assign(name: str, value: object) -> bytes:
    return f"window.{name} = {json.dumps(value, sort_keys=True)};\n".encode()


def _join_scripts() -> bytes:
    names = sorted(file.name for file in (_ASSETS / "app").iterdir() if file.name.endswith(".js"))
    return b"\n".join(_read(f"app/{name}") for name in names)


def _make_sqljs() -> bytes:
    parts = {
        "sqljs": _read("sqljs/sql-wasm-browser.js").decode(),
        "worker": _read("sql_worker.js").decode(),
        "wasm": _encode(_read("sqljs/sql-wasm.wasm")),
    }
    return _assign("lcmaSqljs", parts)


def _join_licences() -> bytes:
    head = b"sqljs.js: SQLite, which is in the public domain, as sql.js compiles it\n\n"
    return head + _read("sqljs/LICENSE") + b"\n\n" + _read("vega-licences.txt")


@cache
def _make_specs() -> bytes:
    from lcma.harness.show.charts import chart_specs

    return _assign("lcmaSpecs", chart_specs())


@cache
def _bundle_vega() -> bytes:
    """Return Vega, Vega-Lite and vega-embed in one script, from the wheel of vl-convert."""
    require_addresses()
    # In a process of its own, because it holds Python's lock for seconds, and a server could not
    # answer. Without a snippet `javascript_bundle` bundles the three libraries unchanged.
    code = "import sys, vl_convert as v; sys.stdout.buffer.write(v.javascript_bundle().encode())"
    # In a new session, so that Ctrl-C in the terminal does not interrupt it.
    return subprocess.run(  # noqa: S603 - this interpreter, with the text above
        [sys.executable, "-c", code], capture_output=True, check=True, start_new_session=True
    ).stdout


ASSETS: dict[str, Callable[[], bytes]] = {
    "site.js": _join_scripts,
    "site.css": lambda: _read("site.css") + _read("answer.css"),
    "icon.svg": partial(_read, "icon.svg"),
    "sqljs.js": _make_sqljs,
    "vega.js": _bundle_vega,
    "specs.js": _make_specs,
    "licences.txt": _join_licences,
}
"""Functions that make the files that are the same on every site."""
