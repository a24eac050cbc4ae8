"""`lcma sql` as it is typed, on both engines: a query, one from stdin, and the prompt."""

import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lcma import db
from tests.db.conftest import World
from tests.db.inspecting import make_older
from tests.harness.cli.conftest import Typed

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "from lcma.harness.cli.main import main; main()"
)


@pytest.fixture
def url(filled_url: str) -> str:
    """A database with some results, on each engine."""
    return filled_url


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    """Puts bytes on stdin."""

    def put(content: bytes) -> None:
        stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        monkeypatch.setattr("sys.stdin", stdin)

    return put


def refused(outcome: tuple[int, str, str], said: str) -> None:
    code, out, err = outcome
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"lcma: .*{said}.*\n", err), err


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("end", ["", ";", " ;\n", "; -- done"])
def test_a_query_may_end_with_a_semicolon_typed_or_read(
    lcma: Typed, url: str, typed: Callable[[bytes], None], end: str
) -> None:
    query = f"SELECT factorization AS f\nFROM trial_results\nORDER BY 1 LIMIT 2{end}"
    expected = (0, "f\nHHH\nLLL\n", "")
    where = ("--db", url, "--format", "csv")
    assert lcma("sql", query, *where) == expected
    for arguments in ((), ("-",)):
        for mark in (b"", b"\xef\xbb\xbf"):
            typed(mark + query.encode())
            assert lcma("sql", *arguments, *where) == expected


def test_the_options_hold_for_what_is_read(
    lcma: Typed, url: str, typed: Callable[[bytes], None]
) -> None:
    typed(b"SELECT bits_per_dim FROM trial_results ORDER BY 1")
    code, out, err = lcma("sql", "--db", url, "--limit", "1", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"columns": ["bits_per_dim"], "rows": [[3.25]], "truncated": True}
    typed(ENDLESS.encode())
    refused(lcma("sql", "--db", url, "--timeout", "0.1"), "took longer than 0.1 s")


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no SQL statement to run"),
        (b" \n;\n", "there is no SQL statement to run"),
        (b"-- nothing\n", "there is no SQL statement to run"),
        (b"SELECT '\xff'", "stdin is no text"),
        ("SELECT 1".encode("utf-16"), "stdin is no text"),
        (b"SELECT 1;\nSELECT 2;\n", "one statement"),
        (b"SELECT 1;\nDELETE FROM results;\n", "one statement"),
    ],
)
def test_what_is_no_query_on_stdin(
    lcma: Typed, url: str, typed: Callable[[bytes], None], content: bytes, said: str
) -> None:
    typed(content)
    refused(lcma("sql", "--db", url), said)


def test_a_closed_stdin_is_an_empty_one(
    lcma: Typed, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    refused(lcma("sql", "--db", url), "there is no SQL statement to run")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("INSERT INTO sweeps VALUES ('a', 'b', 'c', 1)", "only SELECT"),
        ("DELETE FROM results RETURNING id;", "only SELECT"),
        ("DROP VIEW trial_results;", "only SELECT"),
        ("SELECT 1; DROP VIEW trial_results", "one statement"),
        ("SELECT colour FROM results", "colour"),
        ("SELECT * FROM colours", "colours"),
        ("SELECT * FROM results WHERE", "the query failed"),
        (ENDLESS, "took longer than 0.2 s"),
        ("", "there is no SQL statement to run"),
    ],
)
def test_a_bad_query_is_one_line_and_the_database_as_before(
    lcma: Typed, url: str, query: str, said: str
) -> None:
    world = World(db.connect(url))
    before = world.dump()
    refused(lcma("sql", query, "--db", url, "--timeout", "0.2"), said)
    assert world.dump() == before


@pytest.mark.slow_on("postgresql")
def test_no_rows_are_a_header_and_a_count(lcma: Typed, url: str) -> None:
    """On stdout the columns, however many; the rest on stderr, and nothing of it for programs."""
    for columns in ("*", "seed, factorization"):
        query = f"SELECT {columns} FROM trial_results WHERE seed = 77"
        code, out, err = lcma("sql", query, "--db", url)
        assert (code, err) == (0, "0 rows\n")
        names = out.splitlines()[0].split()
        assert {"seed", "factorization"} <= set(names)
        expected = (0, ",".join(names) + "\n", "0 rows\n")
        assert lcma("sql", query, "--db", url, "--format", "csv") == expected
        code, out, err = lcma("sql", query, "--db", url, "--json")
        assert (code, err) == (0, "")
        assert json.loads(out) == {"columns": names, "rows": [], "truncated": False}


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    "condition",
    [
        "factorization='low'",
        "LOWER(t.factorization) = 'high'",
        "\"factorization\" LIKE 'Low'",
        "seed = 0 AND factorization IN ('nothing', 'conventional')",
    ],
)
def test_no_rows_of_a_synonym_say_how_it_is_stored(lcma: Typed, url: str, condition: str) -> None:
    query = f"SELECT * FROM trial_results t WHERE {condition}"
    code, out, err = lcma("sql", query, "--db", url)
    assert (code, out.count("\n")) == (0, 1)
    count, remark = err.splitlines()
    assert count == "0 rows"
    assert "LLL" in remark
    listing = remark.rpartition(": ")[2]
    _, out, err = lcma("sql", listing, "--db", url, "--format", "csv")
    assert ("LLL\n" in out, err) == (True, ""), "what it offers can be pasted"
    assert lcma("sql", query, "--db", url, "--json")[2] == ""


@pytest.mark.parametrize(
    "condition", ["factorization = 'LLL' AND seed = 77", "flow = 'low'", "factorization = 'below'"]
)
def test_no_rows_for_another_reason_are_counted_alone(
    lcma: Typed, url: str, condition: str
) -> None:
    query = f"SELECT * FROM trial_results WHERE {condition}"
    assert lcma("sql", query, "--db", url)[2] == "0 rows\n"


class Terminal:
    """`lcma sql` on a terminal of its own."""

    def __init__(self, *arguments: str, cache: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", TERMINAL, "sql", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={
                **os.environ,
                "LCMA_CACHE": str(cache),
                "PROMPT_TOOLKIT_NO_CPR": "1",
                "TERM": "xterm",
            },
        )
        os.close(slave)
        self._read = self._unseen = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def see(self, wanted: str, *, again: str = "") -> str:
        """What appears until this text stands there; `again` is pressed every second."""
        pressed = start = time.monotonic()
        while wanted not in self._unseen:
            assert time.monotonic() < start + 60, self._unseen
            if again and time.monotonic() > pressed + 1:
                self.press(again)
                pressed = time.monotonic()
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self._read += os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # the other end is closed
                    raise AssertionError(f"it has ended: {self._unseen}") from None
                whole = self._read[: re.search(r"(\x1b[^a-zA-Z]*)?\Z", self._read).start()]
                self._read = self._read[len(whole) :]
                self._unseen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", whole)
        seen, _, self._unseen = self._unseen.partition(wanted)
        return seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(in_tmp: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `lcma sql` on a terminal."""
    started: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        started.append(Terminal(*arguments, cache=in_tmp / "cache"))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_the_prompt_on_a_terminal(
    terminal: Callable[..., Terminal], url: str, in_tmp: Path
) -> None:
    here = terminal("--db", url, "--limit", "2")
    assert "read-only" in here.see("lcma>")
    here.press("select 'found ' || count(*) as n from resu")
    here.see("Trained trials: what")
    here.press("\t")
    here.see("results")
    here.press("\r")
    here.press(";\r")
    here.see("found 3")
    here.see("lcma>")
    here.press("select colour\rfrom results;\r")
    here.see("no such column" if url.startswith("sqlite") else "does not exist")
    here.see("lcma>")
    here.press(f"{ENDLESS};\r")
    here.see("\n")
    here.press("\x03")
    here.see("stopped", again="\x03")
    here.see("lcma>")
    here.press("\x1b[A")
    here.see("RECURSIVE")
    here.press("\x03")
    here.see("lcma>")
    here.press("select trial_id from trial_results;\r")
    here.see("There is more than these 2 rows")
    here.see("lcma>")
    here.press("\x04")
    assert here.process.wait(60) == 0
    assert "select colour" in (in_tmp / "cache" / "sql-history").read_text()


@pytest.mark.integration
def test_no_prompt_where_there_is_nothing_to_ask(
    terminal: Callable[..., Terminal], in_tmp: Path
) -> None:
    here = terminal("--db", str(in_tmp / "missing.db"))
    assert "lcma>" not in here.see("make some with `lcma launch demo`")
    assert here.process.wait(60) == 2
    assert list(in_tmp.iterdir()) == []


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_the_prompt_tells_of_an_older_schema(terminal: Callable[..., Terminal], url: str) -> None:
    version = make_older(url)
    here = terminal("--db", url)
    assert f"schema {version} (newer: lcma db upgrade)" in here.see("lcma>")
