"""`lcma sql` on both engines: a query, and one from stdin."""

import io
import json

import pytest

from tests.harness.cli.conftest import Lcma, output_of, refused

pytestmark = [pytest.mark.slow_on("postgresql"), pytest.mark.usefixtures("by_default")]

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"


@pytest.fixture
def url(filled_url: str) -> str:
    return filled_url


def put_on_stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
    monkeypatch.setattr("sys.stdin", stdin)


@pytest.mark.parametrize("end", ["", ";", " ;\n", "; -- done"])
def test_a_query_may_end_with_a_semicolon_typed_or_read(
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    query = f"SELECT factorization AS f\nFROM results\nORDER BY 1 LIMIT 2{end}"
    expected = (0, "f\nHHH\nLLL\n", "")
    assert lcma("sql", query, "--format", "csv") == expected
    for arguments in ((), ("-",)):
        for mark in (b"", b"\xef\xbb\xbf"):
            put_on_stdin(monkeypatch, mark + query.encode())
            assert lcma("sql", *arguments, "--format", "csv") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "there is no SQL statement to run"),
        (b"SELECT '\xff'", "stdin is not text"),
        ("SELECT 1".encode("utf-16"), "stdin is not text"),
        (b"SELECT 1;\nDELETE FROM attempts;\n", "one statement"),
    ],
)
def test_what_is_no_query_on_stdin_is_refused(
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    put_on_stdin(monkeypatch, content)
    refused(lcma("sql"), message)


def test_a_bad_query_is_one_line(lcma: Lcma) -> None:
    refused(lcma("sql", ENDLESS, "--timeout", "0.2"), "took longer than 0.2 s")
    refused(lcma("sql", "DROP VIEW results"), "only SELECT")


def test_no_rows_are_a_header_and_a_count(lcma: Lcma) -> None:
    """The columns are on stdout, however many. The count is on stderr, but not for programs."""
    for columns in ("*", "seed, factorization"):
        query = f"SELECT {columns} FROM results WHERE seed = 77"
        code, out, err = lcma("sql", query)
        assert (code, err) == (0, "0 rows\n")
        names = out.splitlines()[0].split()
        assert {"seed", "factorization"} <= set(names)
        expected = (0, ",".join(names) + "\n", "0 rows\n")
        assert lcma("sql", query, "--format", "csv") == expected
        out = output_of(lcma("sql", query, "--json"))
        assert json.loads(out) == {"columns": names, "rows": [], "truncated": False}
