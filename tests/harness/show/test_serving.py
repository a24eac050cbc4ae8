"""`lcma serve` as a process: live, read-only, for this machine alone."""

import gzip
import html
import http.client
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.place import find_place
from lcma.harness.show.site import Site, SiteOptions, serving
from lcma.harness.show.site.charts import vega_bundle
from lcma.harness.show.site.serving import Server
from lcma.harness.text import format_duration
from lcma.sweeps.errors import UserError
from tests.harness.show import site as worlds
from tests.harness.show.conftest import STEPS
from tests.stores import beat

pytestmark = pytest.mark.xdist_group("site")  # whose process has the charts' scripts


@pytest.fixture
def waiting(filled) -> Iterator[Server]:
    """A server that answers nobody yet."""
    where = find_place(filled.url, filled.runs, filled.folder / "data")
    options = SiteOptions(samples=False, live=True)
    with Server(lambda: Site(filled.store, where, options), 0, print) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that read the database anew for each request."""
    monkeypatch.setattr(serving, "FRESH", -1.0)


@contextmanager
def serving_of(server: Server) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield
    server.shutdown()
    thread.join()


@pytest.fixture
def server(waiting: Server) -> Iterator[Server]:
    with serving_of(waiting):
        yield waiting


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


def test_pages_come_with_a_policy_and_are_asked_for_again(server) -> None:
    answer, content = ask(server, "GET", "/")
    assert answer.status == 200
    assert b"Leaderboard" in content
    assert "default-src 'none'" in (answer.getheader("Content-Security-Policy") or "")
    assert answer.getheader("Cache-Control") == "private, no-cache"
    answer, empty = ask(server, "HEAD", "/index.html")
    assert (answer.status, empty) == (200, b"")
    assert answer.getheader("Content-Length") == str(len(content))
    for path, kind in (("/assets/vega.js", "javascript"), ("/assets/site.css", "css")):
        answer, _ = ask(server, "GET", path)
        assert kind in (answer.getheader("Content-Type") or "")


def test_what_has_not_changed_is_not_sent_again(filled, server, impatient) -> None:
    answer, _ = ask(server, "GET", "/index.html")
    tag = answer.getheader("ETag")
    assert tag
    for known in (tag, f'"other", {tag}'):
        answer, empty = ask(server, "GET", "/index.html", If_None_Match=known)
        assert (answer.status, empty, answer.getheader("ETag")) == (304, b"", tag)
    filled.results({"rows": {0: 3.875}})
    answer, new = ask(server, "GET", "/index.html", If_None_Match=tag)
    assert answer.status == 200
    assert b"3.8750" in new
    assert answer.getheader("ETag") != tag


def test_what_bundles_vega_keeps_no_server_from_answering() -> None:
    assert b"vegaEmbed" in vega_bundle()
    assert "vl_convert" not in sys.modules, "which holds Python's lock for seconds"


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [("gzip, deflate, br", True), ("gzip;q=0.5", True), ("gzip;q=0", False), ("br", False)],
)
def test_text_is_compressed_for_who_takes_it(server, accepted: str, packed: bool) -> None:
    _, content = ask(server, "GET", "/assets/vega.js")
    answer, sent = ask(server, "GET", "/assets/vega.js", Accept_Encoding=accepted)
    assert answer.getheader("Content-Encoding") == ("gzip" if packed else None)
    assert (gzip.decompress(sent) if packed else sent) == content
    assert answer.getheader("Content-Length") == str(len(sent))
    assert answer.getheader("Vary") == "Accept-Encoding"
    assert len(sent) < len(content) / 2 or not packed


def test_the_first_page_shows_what_runs_with_its_rate_and_log(filler) -> None:
    filler.results({"random": {0: 4.5}}, sweep="s1")
    job = filler.plan("channel", 0, sweep="s1")
    mine = filler.claim(job, host="secret-host", now=3.0)
    points = [
        db.Metric("train_bits_per_dim", step, 8.0 - step / 100) for step in range(10, 101, 10)
    ]
    assert filler.store.add_metrics(mine, points)
    log = "\n".join([f"line {k}" for k in range(40)] + [worlds.HOSTILE])
    beat(filler.store, mine, step=100, lease_seconds=60.0, bits_per_dim=7.0, log=log, now=53.0)
    where = find_place(filler.url, filler.runs, filler.folder / "data")
    site = Site(filler.store, where, SiteOptions(samples=False, live=True))
    text = (site.file("index.html") or b"").decode()
    (panel,) = re.findall(r'<section class="running".*?</section>', text, re.S)
    rate = 100 / (53 - 3)
    assert f">{100}/{STEPS}</td>" in panel
    assert f">{rate:.3g}</td>" in panel
    assert f">{format_duration((STEPS - 100) / rate)}</td>" in panel
    assert ">7.0000</td>" in panel
    assert "line 39" in panel
    assert "line 19\n" not in panel
    assert "secret-host" not in text
    assert "<img src=x" not in text
    assert html.escape("<script>window.hit=1</script>") in panel
    script = (site.file("data/index.js") or b"").decode()
    assert '"value": 7.9' in script
    exported = Site(filler.store, where, SiteOptions(samples=False))
    assert "Running now" not in (exported.file("index.html") or b"").decode()


class Slow(Site):
    """A site that says what it makes, and makes a page only once it may."""

    made: list[str]
    may: dict[str, threading.Event]

    def make(self, path: str) -> dict[str, bytes]:
        self.made.append(path)
        if path in self.may:
            assert self.may[path].wait(30)
        return super().make(path)


@pytest.fixture
def slow(filled, impatient) -> Iterator[tuple[Server, type[Slow]]]:
    """A server that nobody asks over the network, and the class of its sites."""
    where = find_place(filled.url, filled.runs, filled.folder / "data")

    class Own(Slow):
        made: ClassVar[list[str]] = []
        may: ClassVar[dict[str, threading.Event]] = {}

    def make() -> Site:
        return Own(filled.store, where, SiteOptions(samples=False, live=True))

    with Server(make, 0, print) as server:
        yield server, Own


LISTS = ("index.html", "verdicts.html", "budgets.html", "coverage.html", "trials.html", "sql.html")


def test_a_page_is_made_once_until_something_is_written(filled, slow, monkeypatch) -> None:
    server, sites = slow
    first = [server.file(path) for path in LISTS]
    assert [server.file(path) for path in LISTS] == first
    assert sites.made == list(LISTS)
    filled.results({"rows": {0: 3.875}}, sweep="another")
    second = dict(zip(LISTS, [server.file(path) for path in LISTS], strict=True))
    assert sites.made == [*LISTS, *LISTS]
    assert b"3.8750" in second["index.html"].content
    assert b"3.8750" in second["trials.html"].content
    assert b"another" in second["coverage.html"].content
    monkeypatch.setattr(serving, "KEPT_BYTES", 0)
    for _ in range(2):
        server.file("about.html")
    assert sites.made[-2:] == ["about.html"] * 2, "files are kept up to their size"


def test_what_a_running_job_reports_is_shown_though_it_is_no_event(filled, slow) -> None:
    server, _ = slow
    mine = filled.claim(filled.plan("channel", 77), now=3.0)
    verdicts, trials = server.file("verdicts.html"), server.file("trials.html")
    event = filled.store.changed_jobs().last
    beat(filled.store, mine, step=STEPS - 1, lease_seconds=60.0, now=9.0)
    assert filled.store.changed_jobs().last == event
    assert f">{STEPS - 1}/{STEPS}<".encode() not in trials.content
    assert f">{STEPS - 1}/{STEPS}<".encode() in server.file("trials.html").content
    assert server.file("verdicts.html").content == verdicts.content


def test_nobody_waits_for_a_page_but_those_who_ask_for_it(slow) -> None:
    server, sites = slow
    first = server.file("index.html")
    sites.may["verdicts.html"] = threading.Event()
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(server.file, "verdicts.html") for _ in range(3)]
        assert server.file("index.html") == first
        assert server.file("about.html") is not None
        assert not any(one.done() for one in asked)
        sites.may["verdicts.html"].set()
        assert len({one.result(30) for one in asked}) == 1
    assert sorted(sites.made) == ["about.html", "index.html", "verdicts.html"]


def test_a_page_that_could_not_be_made_is_tried_again(filled, slow) -> None:
    server, _ = slow
    path = Path(sa.make_url(filled.url).database)
    server.file("index.html")
    hidden = path.rename(path.with_suffix(".hidden"))
    filled.store.close()
    with pytest.raises(UserError):
        server.file("verdicts.html")
    hidden.rename(path)
    assert b"Verdicts" in server.file("verdicts.html").content


def test_two_hundred_clients_at_once_are_all_answered(waiting) -> None:
    """They connect before the first is answered."""
    host = waiting.url.removeprefix("http://").rstrip("/")
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    with ExitStack() as clients:
        asked = []
        for _ in range(200):
            client = socket.create_connection(waiting.server_address, timeout=5)
            clients.enter_context(client)
            client.settimeout(60)
            client.sendall(request)
            asked.append(client.makefile("rb"))
        with serving_of(waiting):
            answers = [client.read() for client in asked]
    assert {answer.split(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 200 OK"}
    assert len({answer.split(b"\r\n\r\n", 1)[1] for answer in answers}) == 1


def test_nothing_but_reading_under_our_own_name_is_answered(server) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, method, "/")[0].status == 501
    for host in ("evil.example", "evil.example:80", "", "127.0.0.1.evil.example"):
        answer, content = ask(server, "GET", "/", host)
        assert answer.status == 421, host
        assert b"Leaderboard" not in content


def test_no_path_leads_out_of_the_site(server) -> None:
    for path in (
        "/../lcma.db",
        "/%2e%2e/lcma.db",
        "/assets/../../lcma.db",
        "/assets/%2e%2e%2fsite.css",
        "//etc/passwd",
        "/lcma.db",
        "/trials/nobody.html",
        "/images/x.png",
        "/data/%00.js",
        "/index-%C2%B2.html",
        f"/index-{'9' * 5000}.html",
    ):
        assert ask(server, "GET", path)[0].status == 404, path
    assert ask(server, "GET", "/%ff")[0].status == 400


def test_another_address_and_a_port_that_is_taken_are_refused(server, capsys) -> None:
    taken = str(server.server_address[1])
    for option, value, said in (
        *(("--host", host, "127.0.0.1 alone") for host in ("0.0.0.0", "::", "example.org")),
        ("--port", taken, "give another --port"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["serve", option, value])
        assert end.value.code == 2
        assert said in capsys.readouterr().err


@pytest.mark.integration
def test_the_verb_serves_until_it_is_interrupted(filled) -> None:
    code = "import sys; from lcma.harness.cli.main import main; main(['serve', '--port', '0'])"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("GET", "/trials.html")
        assert connection.getresponse().status == 200
        process.send_signal(2)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in errors
