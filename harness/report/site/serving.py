"""The site served live from the database: read-only, on loopback, pages made on request."""

import ipaddress
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from lcma.db import Unavailable
from lcma.harness.report.site.pages import Site
from lcma.harness.report.site.rendering import POLICY
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError

FRESH = 3.0
"""Seconds for which what was read is shown again."""

HOST = "127.0.0.1"

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
    "Cache-Control": "no-store",
}


class Server(ThreadingHTTPServer):
    """Answers GET and HEAD for the files of a site that ``make`` reads anew every few seconds.

    ``report`` is called with a line for what went wrong. Port 0 takes a free one. Raises UserError
    where the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024  # clients that come at once and have not been answered

    def __init__(self, make: Callable[[], Site], port: int, report: Callable[[str], None]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._site: Site | None = None
        self._files: dict[str, bytes | None] = {}
        self._read = 0.0
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

    def file(self, path: str) -> bytes | None:
        """Return a file of the site, None where there is none.

        One at a time: however many ask, a page is made once every few seconds.
        """
        with self._lock:
            now = time.monotonic()
            if self._site is None or now - self._read > FRESH:
                self._site, self._files = self._make(), {}
                self._read = now
            if path not in self._files:
                self._files[path] = self._site.file(path)
            return self._files[path]

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
        try:
            # Names are looked up among the site's own, never on a disk.
            content = self.server.file(path)
        except (UserError, Unavailable) as error:
            text = printable(error)
            self.server.report(text)
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{text}\n".encode(), body)
            return
        if content is None:
            self._send(HTTPStatus.NOT_FOUND, b"no such page\n", body)
            return
        self._send(HTTPStatus.OK, content, body, TYPES.get(path.rpartition(".")[2]))

    def _send(
        self, status: HTTPStatus, content: bytes, body: bool, kind: str | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in HEADERS.items():
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
