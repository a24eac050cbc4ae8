"""The site served live from the database: read-only, on loopback, pages made on request."""

import gzip
import hashlib
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from lcma.db import Unavailable
from lcma.harness.show.site.charts import vega_bundle
from lcma.harness.show.site.pages import Site
from lcma.harness.show.site.rendering import POLICY
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

COMPRESSED = 256
"""Files that are not compressed anew where they are made again and have not changed."""

KEPT_BYTES = 64 * 2**20
"""Most bytes of files that are kept for as long as the database does not change."""

FRESH = 3.0
"""Seconds in which nobody looks whether the database has changed."""

HOST = "127.0.0.1"

TEXT = "text/plain; charset=utf-8"

TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
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

SHORT = 1024
"""Bytes below which nothing is compressed; pictures are already."""


@dataclass(frozen=True)
class Reply:
    """A file with its digest, and compressed where that makes it smaller."""

    content: bytes
    tag: str
    packed: bytes | None


@lru_cache(COMPRESSED)
def make_reply(path: str, content: bytes) -> Reply:
    """Return what is answered with a file."""
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    pack = len(content) >= SHORT and not path.endswith(".png")
    return Reply(content, tag, gzip.compress(content, 6, mtime=0) if pack else None)


class _SiteFiles:
    """The files of a site. Each is made once, however many ask, and nobody waits for another's."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._kept: dict[str, Reply] = {}
        self._making: dict[str, Future[Reply | None]] = {}

    def file(self, path: str) -> Reply | None:
        with self._lock:
            if path in self._kept:
                return self._kept[path]
            other = self._making.get(path)
            if other is None:
                own = self._making[path] = Future[Reply | None]()
        if other is not None:
            return other.result()
        try:
            found = {name: make_reply(name, new) for name, new in self.site.make(path).items()}
        except BaseException as error:
            own.set_exception(error)
            raise
        else:
            with self._lock:
                self._keep(found)
            own.set_result(found.get(path))
            return found.get(path)
        finally:
            with self._lock:
                del self._making[path]

    def _keep(self, found: Mapping[str, Reply]) -> None:
        self._kept |= found
        size = sum(len(reply.content) for reply in self._kept.values())
        while size > KEPT_BYTES:
            size -= len(self._kept.pop(next(iter(self._kept))).content)


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD for the files of a site, made anew once the database has changed.

    ``report`` is called with a line for what went wrong. Port 0 takes a free one. Raises UserError
    where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024  # clients that come at once and have not been answered

    def __init__(self, make: Callable[[], Site], port: int, report: Callable[[str], None]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._files: _SiteFiles | None = None
        self._looked = 0.0
        self.report = report
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise UserError(f"cannot listen on {HOST}:{port}: {why}; give another --port") from None

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def file(self, path: str) -> Reply | None:
        """Return a file of the site as the database is now, None where there is none."""
        return self._current().file(path)

    def _current(self) -> _SiteFiles:
        with self._lock:
            if self._files is None or time.monotonic() - self._looked > FRESH:
                site = self._make()
                if self._files is not None:
                    site.reuse(self._files.site)
                if self._files is None or not site.is_same(self._files.site):
                    self._files = _SiteFiles(site)
                self._looked = time.monotonic()
            return self._files

    def warm(self) -> None:
        """Make the first page and the script of charts before anybody asks for them."""
        with suppress(UserError, Unavailable):  # which the first request reports
            self.file("index.html")
        vega_bundle()

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
        path = path or "index.html"
        kind = TYPES.get(path.rpartition(".")[2], TEXT)
        try:
            # Names are looked up among the site's own, never on a disk.
            reply = self.server.file(path)
        except (UserError, Unavailable) as error:
            text = printable(error)
            self.server.report(text)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(), body)
            return
        if reply is None:
            self._send(HTTPStatus.NOT_FOUND, b"no such page\n", body)
        elif reply.tag in self._listed("If-None-Match"):
            self._send(HTTPStatus.NOT_MODIFIED, b"", False, ETag=reply.tag)
        elif reply.packed is not None and "gzip" in self._listed("Accept-Encoding"):
            more = {"Content-Type": kind, "ETag": reply.tag, "Content-Encoding": "gzip"}
            self._send(HTTPStatus.OK, reply.packed, body, **more)
        else:
            more = {"Content-Type": kind, "ETag": reply.tag}
            self._send(HTTPStatus.OK, reply.content, body, **more)

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
            "no password; "
            "tunnel to it (ssh -L 8000:127.0.0.1:8000 HOST), or publish "
            "`lcma export --format html`"
        )
