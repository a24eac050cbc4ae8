"""`lcma serve`: live, read-only, and for this machine only."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma.harness.show.site import files, serving
from lcma.harness.show.site.serving import LiveSite, Server
from lcma.sweeps.errors import UserError
from tests.harness.cli.conftest import refused
from tests.harness.show.conftest import STEPS
from tests.stores import beat


@pytest.fixture
def server(filled, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(files.ASSETS, "vega.js", bytes)  # takes seconds to bundle
    monkeypatch.setattr(serving, "MIN_PAUSE", 0.0)
    monkeypatch.setattr(serving, "MAX_SHARE", 1.0)
    with Server(LiveSite(filled.store, print), 0, print) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: Server, method: str, path: str, host: str | None = None, **headers: str):
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", f"127.0.0.1:{port}" if host is None else host)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_files_have_a_policy_and_are_revalidated(server) -> None:
    answer, content = ask(server, "GET", "/")
    assert answer.status == 200
    assert b'data-live="1"' in content
    policy = answer.getheader("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "file:" not in policy
    assert answer.getheader("Cache-Control") == "private, no-cache"
    answer, empty = ask(server, "HEAD", "/index.html")
    assert (answer.status, empty) == (200, b"")
    assert answer.getheader("Content-Length") == str(len(content))
    tag = answer.getheader("ETag")
    assert tag
    for known in (tag, f'"other", {tag}'):
        answer, empty = ask(server, "GET", "/index.html", If_None_Match=known)
        assert (answer.status, empty, answer.getheader("ETag")) == (304, b"", tag)
    for path, kind in (
        ("/database.js?1", "javascript"),
        ("/site.css", "css"),
    ):
        answer, _ = ask(server, "GET", path)
        assert answer.status == 200
        assert kind in (answer.getheader("Content-Type") or "")


def read_status(server: Server) -> dict[str, Any]:
    answer, content = ask(server, "GET", "/status.json")
    assert answer.status == 200
    return json.loads(content)


def test_a_copy_is_made_only_when_a_job_has_changed(filled, server, monkeypatch) -> None:
    copies: list[int] = []
    make = serving.make_database

    def count(*args: Any, **options: Any) -> Any:
        copies.append(1)
        return make(*args, **options)

    def wait_for_copies() -> int:
        until = time.monotonic() + 60
        while server.site._making:
            assert time.monotonic() < until
            time.sleep(0.05)
        return len(copies)

    monkeypatch.setattr(serving, "make_database", count)
    first = read_status(server)
    assert (first["running"], first["left"]) == (0, 0)
    assert read_status(server) == first
    assert wait_for_copies() == 1
    claim = filled.claim(filled.plan("channel", 77))
    filled.plan("channel", 78)
    status = read_status(server)
    assert (status["running"], status["left"]) == (1, 1)
    assert wait_for_copies() == 2
    status = read_status(server)
    _, before = ask(server, "GET", "/database.js")
    filled.results({"rows": {0: 3.875}})
    read_status(server)
    assert wait_for_copies() == 3
    assert read_status(server)["version"] != status["version"]
    assert ask(server, "GET", "/database.js")[1] != before
    beat(filled.store, claim, step=STEPS - 1, lease_seconds=60.0, now=9.0)
    read_status(server)
    assert wait_for_copies() == 3, "a heartbeat is no change"


def test_a_copy_that_could_not_be_made_is_tried_again(filled, server) -> None:
    path = Path(sa.make_url(filled.url).database)
    hidden = path.rename(path.with_suffix(".hidden"))
    filled.store.close()
    answer, content = ask(server, "GET", "/")
    assert answer.status == 503
    assert b"lcma.db" in content
    hidden.rename(path)
    assert ask(server, "GET", "/")[0].status == 200


def test_a_copy_that_fails_takes_its_share_of_the_time_too(filled, server, monkeypatch) -> None:
    version = read_status(server)["version"]
    tries: list[int] = []

    def fail(*args: Any, **options: Any) -> None:
        tries.append(1)
        raise UserError("no copy")

    monkeypatch.setattr(serving, "make_database", fail)
    monkeypatch.setattr(serving, "MIN_PAUSE", 60.0)
    filled.results({"rows": {0: 3.875}})
    for _ in range(4):
        assert read_status(server)["version"] == version
        time.sleep(0.05)
    assert len(tries) == 1


def test_a_bug_is_answered_and_reported_in_one_line(server, monkeypatch, capsys) -> None:
    def fail(name: str) -> bytes:
        raise KeyError(name)

    monkeypatch.setattr(server.site, "file", fail)
    answer, content = ask(server, "GET", "/x")
    assert (answer.status, content) == (500, b"KeyError: 'x'\n")
    for error in (BrokenPipeError(), TimeoutError(), ValueError("two\nlines")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, None)
    assert capsys.readouterr().out == "KeyError: 'x'\nValueError: two\\nlines\n"


def test_only_reads_under_our_own_host_name_are_answered(server) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, method, "/")[0].status == 501
    for host in ("evil.example", "evil.example:80", "", "127.0.0.1.evil.example"):
        answer, content = ask(server, "GET", "/", host)
        assert answer.status == 421, host
        assert b"<h1>" not in content


def test_no_path_leaves_the_site(server) -> None:
    paths = ("/../lcma.db", "/%2e%2e/lcma.db", "/app/../site.css", "//etc/passwd", "/lcma.db")
    for path in (*paths, "/%00.js", "/.lcma-site", "/templates/index.html", "/%ff"):
        assert ask(server, "GET", path)[0].status == 404, path


def test_a_port_that_is_taken_is_refused(server, lcma) -> None:
    refused(lcma("serve", "--port", str(server.server_address[1])), "give another --port")


@pytest.mark.integration
def test_the_command_serves_until_it_is_interrupted(filled) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "lcma", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
