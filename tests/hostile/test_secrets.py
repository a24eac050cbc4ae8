"""Passwords and tokens of URLs are refused where `ps` and Ray see them, and never printed."""

import pytest

from lcma import db
from lcma.sweeps.errors import UserError
from tests.harness.cli.conftest import Lcma

SECRET = "canary"

SERVER = f"postgresql://me:{SECRET}@127.0.0.1:1/x"


@pytest.mark.parametrize(
    "typed",
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
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LCMA_PLUGINS", "missing.py")  # it would be refused too, but later
    code, out, err = lcma(*typed)
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


def test_a_password_in_a_variable_is_taken_and_not_printed(
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCMA_DB", SERVER)
    code, _, err = lcma("status")
    assert code == 2
    assert "cannot open the database postgresql://me@127.0.0.1:1/x" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    "typed",
    [
        ("--runs=s3://key:canary@bucket/a",),
        ("--runs", "https://host/a?sig=canary"),
        ("--runs", "https://canary@host/a"),
        ("--runs", "simplecache::sftp://me:canary@host/a"),
        ("--runs", "key:canary@s3://bucket"),
    ],
)
def test_a_key_in_the_url_of_a_place_is_refused(lcma: Lcma, typed: tuple[str, ...]) -> None:
    code, out, err = lcma("clean", *typed)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(
        "lcma: `ps` shows everybody a password, user, key or query in the URL of --runs"
    )
    assert "give the URL as LCMA_RUNS" in err
    assert SECRET not in err


@pytest.mark.parametrize(
    ("url", "words"),
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
def test_urls_that_are_not_supported(url: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        db.connect(url)
    message = str(caught.value)
    assert "\n" not in message
    assert words in message
    assert "sqlite:///PATH" in message
    assert "secret" not in message
