"""The files of a site: the page, its scripts, and the database."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files

from lcma.db import Store
from lcma.harness.extras import require_extra
from lcma.harness.show.site.database import SiteDatabase, make_database
from lcma.harness.show.site.page import draw_card, render_index
from lcma.sweeps.measures import BITS_PER_DIM

_ASSETS = files("lcma.harness.show.site") / "assets"


@dataclass(frozen=True)
class SiteOptions:
    """Selection of what a site shows.

    ``sweep_id`` leaves only a sweep's trials, ``measure`` ranks the board.
    """

    sweep_id: str | None = None
    measure: str = BITS_PER_DIM


def make_files(
    store: Store, options: SiteOptions, step: Callable[[str], None] = lambda _: None
) -> dict[str, bytes]:
    """Return the files of a site by their names, all in one folder.

    Raises UserError where the extra `pictures` is not installed.
    """
    require_extra("pictures")
    step("reading results")
    database = make_database(store, sweep_id=options.sweep_id, measure=options.measure, step=step)
    step("writing pages")
    return make_page_files(database) | {name: make() for name, make in ASSETS.items()}


def make_page_files(database: SiteDatabase, *, live: bool = False) -> dict[str, bytes]:
    """Return the files that depend on the results; a live page asks whether there are new ones."""
    return {
        "index.html": render_index(database, live=live),
        "database.js": _assign("lcmaDatabase", _encode(gzip.compress(database.content, mtime=0))),
        "card.png": draw_card(database),
    }


def join_scripts() -> bytes:
    """Return the page's own script, in the order of the names of its parts."""
    parts = sorted(one.name for one in (_ASSETS / "app").iterdir() if one.name.endswith(".js"))
    return b"\n".join(read_asset(f"app/{name}") for name in parts)


def make_sqljs() -> bytes:
    """Return the script with SQLite, and with what a worker does with it."""
    found = {
        "sqljs": read_asset("sqljs/sql-wasm-browser.js").decode(),
        "worker": read_asset("sql_worker.js").decode(),
        "wasm": _encode(read_asset("sqljs/sql-wasm.wasm")),
    }
    return _assign("lcmaSqljs", found)


def join_licences() -> bytes:
    """Return the licences of what others made of the site."""
    head = b"sqljs.js: SQLite, which is in the public domain, as sql.js compiles it\n\n"
    return head + read_asset("sqljs/LICENSE") + b"\n\n" + read_asset("vega-licences.txt")


@cache
def make_specs() -> bytes:
    """Return the script with the specification of each chart, by its name."""
    from lcma.harness.show.charts import chart_specs

    return _assign("lcmaSpecs", chart_specs())


@cache
def bundle_vega() -> bytes:
    """Return Vega, Vega-Lite and vega-embed in one script, from the wheel of vl-convert."""
    # In a process of its own: it holds Python's lock for seconds, in which a server answers nobody.
    # Without a snippet the three libraries are bundled as they are.
    made = "import sys, vl_convert as v; sys.stdout.buffer.write(v.javascript_bundle().encode())"
    # Not of the terminal's group, so that Ctrl-C leaves it to end by itself.
    return subprocess.run(  # noqa: S603 - this interpreter, with the text above
        [sys.executable, "-c", made], capture_output=True, check=True, start_new_session=True
    ).stdout


def read_asset(name: str) -> bytes:
    """Return a file of the folder `assets`."""
    return (_ASSETS / name).read_bytes()


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _assign(name: str, value: object) -> bytes:
    return f"window.{name} = {json.dumps(value, sort_keys=True)};\n".encode()


ASSETS: dict[str, Callable[[], bytes]] = {
    "site.js": join_scripts,
    "site.css": lambda: read_asset("site.css") + read_asset("answer.css"),
    "icon.svg": partial(read_asset, "icon.svg"),
    "sqljs.js": make_sqljs,
    "vega.js": bundle_vega,
    "specs.js": make_specs,
    "licences.txt": join_licences,
}
"""What makes each file that is the same on every site."""
