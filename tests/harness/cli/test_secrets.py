"""Passwords and tokens of URLs: none in what `ps` and Ray see, none in what is printed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lcma.harness.cli.main import main
from lcma.harness.urls import hide_in_arguments
from tests.harness.cli.conftest import Typed

SECRET = "canary"


def test_what_ps_and_ray_see_of_a_command_holds_no_password(in_tmp: Path) -> None:
    typed = ("sql", "-", "--db", f"postgresql://me:{SECRET}@127.0.0.1:1/x", "--format=csv")
    process = subprocess.Popen(
        [sys.executable, "-m", "lcma", *typed],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    command = Path(f"/proc/{process.pid}/cmdline")
    until = time.monotonic() + 60
    # Read once a round: before its own program runs, a process shows its parent's arguments.
    while SECRET in (text := command.read_text()) or "lcma" not in text:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    shown = text.split("\0")
    assert shown[-6:] == [*typed[:3], "postgresql://me@127.0.0.1:1/x", typed[4], ""]
    printed, _ = process.communicate("SELECT 1")
    assert process.returncode == 2
    assert "cannot open the database postgresql://me@127.0.0.1:1/x" in printed
    assert SECRET not in printed


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("--runs=s3://key:canary@bucket/a", "--runs=s3://key@bucket/a"),
        ("https://host/a?sig=canary", "https://host/a"),
        ("https://canary@host/a", "https://host/a"),
        ("simplecache::sftp://me:canary@host/a", "simplecache::sftp://me@host/a"),
        ("postgresql://me:p@canary/w@host/x", "postgresql://me@host/x"),
        ("postgresql://host/x?password=canary", "postgresql://host/x"),
        ("key:canary@s3://bucket", "***://bucket"),
        ("model.splits=2", "model.splits=2"),
        ("--set=a:b@c", "--set=a:b@c"),
    ],
)
def test_arguments_are_shown_without_secrets(typed: str, shown: str) -> None:
    assert hide_in_arguments(["launch", typed]) == ["launch", shown]


@pytest.mark.parametrize("set_by_somebody", ["x", "[1]", '["data", "list"]'])
def test_what_was_typed_is_not_replaced_by_a_variable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, set_by_somebody: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["lcma", "--version"])
    monkeypatch.setenv("LCMA_ARGUMENTS", set_by_somebody)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert capsys.readouterr().out.startswith("lcma 0.")
    assert "LCMA_ARGUMENTS" not in os.environ


UNREADABLE = [
    ("--db", "postgresql://me:p@canary/w:rd@127.0.0.1:1/x"),
    ("--db", "postgresql://me:p@canary/w?x@127.0.0.1:1/x"),
    ("--db", "postgresql://me:a@b/canary@127.0.0.1:1/x"),
    ("--db", "mysql://me:p@canary/x@host/x"),
    ("--db", "postgresql:/me:canary@host/x.db"),
    ("--db", "postgres:me:canary@host/x.db"),
    ("--db", "me:canary"),
    ("--runs", "s3:/key:canary@bucket"),
    ("--runs", "key:canary@s3://bucket"),
    ("--runs", "me:canary@host::x"),
    ("--runs", "https://canary@host/a"),
    ("--runs", "nowhere://key:canary@bucket/?token=canary"),
]


@pytest.mark.parametrize(("option", "url"), UNREADABLE, ids=[url for _, url in UNREADABLE])
def test_a_url_that_cannot_be_read_is_not_repeated_nor_looked_up(
    lcma: Typed, option: str, url: str
) -> None:
    code, out, err = lcma("launch", "demo", "--local", "--no-pictures", option, url)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert SECRET not in err
    assert "resolve" not in err
