"""`lcma sql` as it is typed, on both engines: a query, and one from stdin."""

import io
import json
from collections.abc import Callable

import pytest

from tests.harness.cli.conftest import Lcma, output_of, refused

pytestmark = pytest.mark.slow_on("postgresql")

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


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


@pytest.mark.parametrize("end", ["", ";", " ;\n", "; -- done"])
def test_a_query_may_end_with_a_semicolon_typed_or_read(
    lcma: Lcma, url: str, typed: Callable[[bytes], None], end: str
) -> None:
    query = f"SELECT factorization AS f\nFROM results\nORDER BY 1 LIMIT 2{end}"
    expected = (0, "f\nHHH\nLLL\n", "")
    where = ("--db", url, "--format", "csv")
    assert lcma("sql", query, *where) == expected
    for arguments in ((), ("-",)):
        for mark in (b"", b"\xef\xbb\xbf"):
            typed(mark + query.encode())
            assert lcma("sql", *arguments, *where) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there is no SQL statement to run"),
        (b"SELECT '\xff'", "stdin is not text"),
        ("SELECT 1".encode("utf-16"), "stdin is not text"),
        (b"SELECT 1;\nDELETE FROM attempts;\n", "one statement"),
    ],
)
def test_what_is_no_query_on_stdin(
    lcma: Lcma, url: str, typed: Callable[[bytes], None], content: bytes, message: str
) -> None:
    typed(content)
    refused(lcma("sql", "--db", url), message)


def test_a_bad_query_is_one_line(lcma: Lcma, url: str) -> None:
    for query, message in (
        (ENDLESS, "took longer than 0.2 s"),
        ("DROP VIEW results", "only SELECT"),
    ):
        refused(lcma("sql", query, "--db", url, "--timeout", "0.2"), message)


def test_no_rows_are_a_header_and_a_count(lcma: Lcma, url: str) -> None:
    """On stdout the columns, however many; the rest on stderr, and nothing of it for programs."""
    for columns in ("*", "seed, factorization"):
        query = f"SELECT {columns} FROM results WHERE seed = 77"
        code, out, err = lcma("sql", query, "--db", url)
        assert (code, err) == (0, "0 rows\n")
        names = out.splitlines()[0].split()
        assert {"seed", "factorization"} <= set(names)
        expected = (0, ",".join(names) + "\n", "0 rows\n")
        assert lcma("sql", query, "--db", url, "--format", "csv") == expected
        out = output_of(lcma("sql", query, "--db", url, "--json"))
        assert json.loads(out) == {"columns": names, "rows": [], "truncated": False}


@pytest.mark.parametrize(
    "condition",
    [
        "factorization='low'",
        "LOWER(t.factorization) = 'high'",
        "\"factorization\" LIKE 'Low'",
        "seed = 0 AND factorization IN ('nothing', 'conventional')",
    ],
)
def test_no_rows_of_a_synonym_say_how_it_is_stored(lcma: Lcma, url: str, condition: str) -> None:
    query = f"SELECT * FROM results t WHERE {condition}"
    code, out, err = lcma("sql", query, "--db", url)
    assert (code, out.count("\n")) == (0, 1)
    count, remark = err.splitlines()
    assert count == "0 rows"
    assert "LLL" in remark
    listing = remark.rpartition(": ")[2]
    _, out, err = lcma("sql", listing, "--db", url, "--format", "csv")
    assert ("LLL\n" in out, err) == (True, ""), "what it offers can be pasted"
    assert lcma("sql", query, "--db", url, "--json")[2] == ""
