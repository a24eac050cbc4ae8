"""The site served live from the database: read-only, on loopback."""

import gzip
import hashlib
import ipaddress
import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from lcma.db import Store, Unavailable
from lcma.harness.show.site.database import make_database
from lcma.harness.show.site.files import ASSETS, SiteOptions, make_page_files
from lcma.harness.show.site.page import POLICY
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

PAUSE = 10.0
"""Least seconds from one copy of the database to the next."""

SHARE = 0.1
"""Largest part of the time that is spent on copies."""

HOST = "127.0.0.1"

STATUS = "status.json"

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
    "Cache-Control": "private, no-cache",  # kept, but asked for again each time
    "Vary": "Accept-Encoding",
}

PACKED = ("database.js", "card.png")
"""Files that are compressed already."""


@dataclass(frozen=True)
class Reply:
    """A file with its digest, and compressed where that makes it smaller."""

    content: bytes
    tag: str
    packed: bytes | None


def make_reply(name: str, content: bytes) -> Reply:
    """Return what is answered with a file."""
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    pack = name not in PACKED and name != STATUS
    return Reply(content, tag, gzip.compress(content, 6, mtime=0) if pack else None)


@dataclass(frozen=True)
class _Copy:
    """Files of the results at a moment, and what tells that there are newer ones.

    ``due`` is when the next one may be made, by the monotonic clock.
    """

    files: dict[str, Reply]
    version: str
    change: int
    due: float


class LiveSite:
    """The files of a site over a database: a copy of it, made anew when a job has moved.

    A new copy is made beside the answers, which have the old one for as long.
    """

    def __init__(self, store: Store, options: SiteOptions, report: Callable[[str], None]) -> None:
        self._store, self._options, self._report = store, options, report
        self._lock, self._assets_lock = threading.Lock(), threading.Lock()
        self._assets: dict[str, Reply] = {}
        self._copy: _Copy | None = None
        self._making = False

    def file(self, name: str) -> Reply | None:
        """Return a file, None where there is none of that name."""
        if name in ASSETS:
            with self._assets_lock:
                if name not in self._assets:
                    self._assets[name] = make_reply(name, ASSETS[name]())
                return self._assets[name]
        copy = self._find_copy()
        if name == STATUS:
            counts = self._store.job_counts(self._options.sweep_id)
            of = (counts.trial, counts.pretraining)
            status = {
                "version": copy.version,
                "running": sum(one.running for one in of),
                "left": sum(one.pending for one in of),
            }
            return make_reply(name, json.dumps(status).encode())
        return copy.files.get(name)

    def _find_copy(self) -> _Copy:
        with self._lock:
            if self._copy is None:
                self._copy = self._make()
            elif not self._making and time.monotonic() >= self._copy.due and self._has_changed():
                self._making = True
                threading.Thread(target=self._renew, daemon=True).start()
            return self._copy

    def _has_changed(self) -> bool:
        assert self._copy is not None
        return self._store.changed_jobs().last != self._copy.change

    def _renew(self) -> None:
        try:
            self._copy = self._make()
        except (UserError, Unavailable) as error:  # the old one stays
            self._report(printable(error))
        finally:
            self._making = False

    def _make(self) -> _Copy:
        change = self._store.changed_jobs().last  # before what is read, which is as new at least
        began = time.monotonic()
        database = make_database(
            self._store, sweep_id=self._options.sweep_id, measure=self._options.measure
        )
        made = make_page_files(database, live=True)
        files = {name: make_reply(name, content) for name, content in made.items()}
        ended = time.monotonic()
        due = ended + max(PAUSE, (ended - began) * (1 / SHARE - 1))
        version = hashlib.sha256(database.content).hexdigest()[:16]
        return _Copy(files, version, change, due)


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD for the files of a site.

    ``report`` is called with a line for what went wrong. Port 0 takes a free one. Raises UserError
    where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # clients that come at once and have not been answered

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
        """Make the first page and the script of charts before anybody asks for them."""
        with suppress(UserError, Unavailable):  # which the first request reports
            for name in ("index.html", *ASSETS):
                self.site.file(name)

    def is_own(self, host: str | None) -> bool:
        """Return whether a Host header names this server.

        Another's name that leads here is refused, so that no page of the web can read the site
        through its own name.
        """
        port = self.server_address[1]
        names = {HOST, "localhost"}
        allowed = {f"{name}:{port}" for name in names} | (names if port == 80 else set())
        return host is not None and host.lower() in allowed

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a browser that closes a connection is no error."""


_REFUSED = re.compile(r";\s*q=0(\.0*)?\s*$")


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "lcma"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        if not self.server.is_own(self.headers.get("Host")):
            self._send(HTTPStatus.MISDIRECTED_REQUEST, b"this server answers to localhost\n", body)
            return
        try:
            path = unquote(urlsplit(self.path).path, errors="strict").removeprefix("/")
        except (ValueError, UnicodeDecodeError):
            self._send(HTTPStatus.BAD_REQUEST, b"no such address\n", body)
            return
        name = path or "index.html"
        try:
            # Names are looked up among the site's own, never on a disk.
            reply = self.server.site.file(name)
        except (UserError, Unavailable) as error:
            text = printable(error)
            self.server.report(text)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(), body)
            return
        if reply is None:
            self._send(HTTPStatus.NOT_FOUND, b"no such page\n", body)
            return
        headers = {"Content-Type": TYPES.get(name.rpartition(".")[2], TEXT), "ETag": reply.tag}
        if reply.tag in self._listed("If-None-Match"):
            self._send(HTTPStatus.NOT_MODIFIED, b"", False, ETag=reply.tag)
        elif reply.packed is not None and "gzip" in self._listed("Accept-Encoding"):
            self._send(HTTPStatus.OK, reply.packed, body, **headers, **{"Content-Encoding": "gzip"})
        else:
            self._send(HTTPStatus.OK, reply.content, body, **headers)

    def _listed(self, header: str) -> list[str]:
        """Return what a header lists; what is refused with q=0 is not listed."""
        items = [one.strip() for one in ",".join(self.headers.get_all(header, [])).split(",")]
        return [one.split(";")[0].strip() for one in items if not _REFUSED.search(one)]

    def _send(self, status: HTTPStatus, content: bytes, body: bool, **headers: str) -> None:
        self.send_response(status)
        if status is not HTTPStatus.NOT_MODIFIED:
            headers = {"Content-Type": TEXT} | headers | {"Content-Length": str(len(content))}
        for name, value in (HEADERS | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for each request."""


def require_loopback(host: str) -> None:
    """Raise UserError for any address but this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        own = host == "localhost"
    else:
        own = address == ipaddress.ip_address(HOST)
    if not own:
        raise UserError(
            f"--host {printable(host)}: pages are served on {HOST} alone, since they have "
            "no password; tunnel to it (ssh -L 8000:127.0.0.1:8000 HOST), or publish "
            "`lcma export --format html`"
        )
