"""Passwords and keys in URLs are refused where `ps` and Ray show them, and never printed."""

import pytest

from lcma import db
from tests.harness.cli.conftest import Lcma
from tests.refusals import catch_refusal

SECRET = "canary"

SERVER = f"postgresql://me:{SECRET}@127.0.0.1:1/x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("launch", "demo", "--db", SERVER),
        ("launch", "demo", f"--db={SERVER}"),
        ("tune", "missing.yaml", "--db", SERVER.replace("ql:", "ql+psycopg:")),
        ("db", "merge", SERVER.replace("ql:", ":")),
        ("sql", "select 1", "--db", f"postgresql://127.0.0.1:1/x?sslmode=allow&password={SECRET}"),
        ("status", "--db", f"postgresql://me:p@{SECRET}/w:rd@127.0.0.1:1/x"),
        ("status", "--db", f"postgresql://127.0.0.1:1/x?Password={SECRET}"),
        ("db", "merge", SERVER.replace("//", "")),
        ("no-such-command", "--db", SERVER),
    ],
)
def test_a_password_in_the_url_of_a_database_is_refused(
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LCMA_PLUGINS", "missing.py")  # which is refused too, but later
    code, out, err = lcma(*arguments)
    assert (code, out) == (2, "")
    assert err == (
        "lcma: `ps` shows everybody a password in the URL of a database: leave it out and put it "
        "into ~/.pgpass or PGPASSWORD, or give the whole URL as LCMA_DB\n"
    )


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@127.0.0.1:1/x",
        "postgresql://me:@127.0.0.1:1/x?sslmode=disable",
        "postgresql://127.0.0.1:1/x?user=me%40there",
        "sqlite:////nowhere/127.0.0.1:1/a:b@c/x.db",
    ],
)
def test_a_url_without_a_password_is_taken(lcma: Lcma, url: str) -> None:
    code, _, err = lcma("status", "--db", url)
    assert code == 2
    assert "127.0.0.1:1" in err
    assert "LCMA_DB" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--runs=s3://key:canary@bucket/a",),
        ("--runs", "https://host/a?sig=canary"),
        ("--runs", "https://canary@host/a"),
        ("--runs", "simplecache::sftp://me:canary@host/a"),
        ("--runs", "key:canary@s3://bucket"),
    ],
)
def test_a_key_in_the_url_of_a_place_is_refused(lcma: Lcma, arguments: tuple[str, ...]) -> None:
    code, out, err = lcma("clean", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(
        "lcma: `ps` shows everybody a password, user, key or query in the URL of --runs"
    )
    assert "give the URL as LCMA_RUNS" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("results.txt", "'results.txt' is not a database"),
        ("mysql://h/x", "mysql://h/x is not supported"),
        ("sqlite://", "does not name a file"),
        ("://secret", "cannot read the database URL"),
        ("mysql://me:secret@h:port/x", "cannot read the database URL"),
        ("postgresql://me:p@secret@h/x", "write an @ in user or password as %40"),
        ("me:secret@h/x", "cannot read the database URL"),
    ],
)
def test_a_url_that_is_not_supported_is_refused_without_its_secret(url: str, reason: str) -> None:
    message = str(catch_refusal(lambda: db.connect(url), reason, "sqlite:///PATH"))
    assert "secret" not in message
