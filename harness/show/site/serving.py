"""The site served live from the database: read-only, and only on this machine."""

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from lcma.db import Store, Unavailable
from lcma.harness.show.site.database import make_database
from lcma.harness.show.site.files import ASSETS, make_page_files
from lcma.harness.show.site.page import POLICY
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

MIN_PAUSE = 10.0
"""Seconds between two copies of the database, at least."""

MAX_SHARE = 0.1
"""Share of the time that is spent on copies, at most."""

HOST = "127.0.0.1"

TEXT = "text/plain; charset=utf-8"

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
}

HEADERS = {
    "Content-Security-Policy": POLICY.replace(" file:", "") + "; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",  # kept, but revalidated each time
}


@dataclass(frozen=True)
class _Copy:
    """Files of the results at one moment."""

    files: Mapping[str, bytes]
    version: str
    change: int  # `changed_jobs().last`; another value means newer results


class LiveSite:
    """The files of a site over a database, from a copy that is renewed when a job has changed.

    A new copy is made in a thread, while requests get the old one.
    """

    def __init__(
        self,
        store: Store,
        report: Callable[[str], None],
        *,
        sweep_id: str | None = None,
        measure: str = BITS_PER_DIM,
    ) -> None:
        self._store, self._report = store, report
        self._sweep_id, self._measure = sweep_id, measure
        self._lock = threading.Lock()
        self._copy: _Copy | None = None
        self._due = 0.0  # when the next copy may be made, by the monotonic clock
        self._making = False

    def file(self, name: str) -> bytes | None:
        """Return a file by name, or None."""
        if name in ASSETS:
            return ASSETS[name]()
        copy = self._find_copy()
        if name != "status.json":
            return copy.files.get(name)
        counts = self._store.job_counts(self._sweep_id)
        running = counts.trial.running + counts.pretraining.running
        left = counts.trial.pending + counts.pretraining.pending
        return json.dumps({"version": copy.version, "running": running, "left": left}).encode()

    def _find_copy(self) -> _Copy:
        with self._lock:
            if self._copy is None:
                self._copy = self._make()
            elif (
                not self._making
                and time.monotonic() >= self._due
                and self._store.changed_jobs().last != self._copy.change
            ):
                self._making = True
                threading.Thread(target=self._renew, daemon=True).start()
            return self._copy

    def _renew(self) -> None:
        try:
            self._copy = self._make()
        except (UserError, Unavailable) as error:  # keep the old copy
            self._report(printable(error))
        finally:
            self._making = False

    def _make(self) -> _Copy:
        change = self._store.changed_jobs().last  # read first, so that the copy is not older
        began = time.monotonic()
        try:
            database = make_database(self._store, sweep_id=self._sweep_id, measure=self._measure)
            files = make_page_files(database, live=True)
        finally:  # a copy that fails took time too
            ended = time.monotonic()
            self._due = ended + max(MIN_PAUSE, (ended - began) * (1 / MAX_SHARE - 1))
        return _Copy(files, hashlib.sha256(database.content).hexdigest()[:16], change)


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD for the files of a site.

    ``report`` is called with a line for each error. Port 0 takes a free port. Raises UserError
    where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # clients that wait to be accepted

    def __init__(self, site: LiveSite, port: int, report: Callable[[str], None]) -> None:
        self.site, self.report = site, report
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise UserError(f"cannot listen on {HOST}:{port}: {why}; give another --port") from None

    @property
    def url(self) -> str:
        """Address of the site."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def warm(self) -> None:
        """Make all files before the first request."""
        with suppress(UserError, Unavailable):  # the first request reports the error
            for name in ("index.html", *ASSETS):
                self.site.file(name)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report the error, unless the connection broke: a browser may close it at any time."""
        error = sys.exception()
        if error is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            self.report(_describe_bug(error))


def _describe_bug(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "lcma"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        # Refuse other host names: a web page whose name resolves to this machine must not read the
        # site (DNS rebinding).
        if self.headers.get("Host", "").lower().partition(":")[0] not in (HOST, "localhost"):
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"this server answers to localhost\n")
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        try:
            # Names are looked up among the files of the site, never on a disk.
            content = self.server.site.file(name)
        except (UserError, Unavailable) as error:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, printable(error))
            return
        except Exception as error:  # noqa: BLE001 - the page shows any error, not an empty reply
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, _describe_bug(error))
            return
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, b"no such page\n")
            return
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        if tag in self.headers.get("If-None-Match", ""):
            self._send(HTTPStatus.NOT_MODIFIED, b"", ETag=tag)
        else:
            kind = {"Content-Type": TYPES.get(name.rpartition(".")[2], TEXT)}
            self._send(HTTPStatus.OK, content, ETag=tag, **kind)

    do_HEAD = do_GET  # noqa: N815 - the name that `BaseHTTPRequestHandler` calls

    def _fail(self, status: HTTPStatus, text: str) -> None:
        """Answer with an error, and report it."""
        self.server.report(text)
        self._send(status, f"{text}\n".encode())

    def _send(self, status: HTTPStatus, content: bytes, **headers: str) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NOT_MODIFIED:
            headers = {"Content-Type": TEXT, "Content-Length": str(len(content))} | headers
        for name, value in (HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""
