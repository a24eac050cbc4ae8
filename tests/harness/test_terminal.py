"""What long work says of itself while it lasts."""

import io
import time

import pytest

from lcma.harness.terminal import Console, describing_work, user_name


def test_what_is_done_is_said_off_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lcma.harness.terminal.LINE_SECONDS", 0.5)
    out = io.StringIO()
    console = Console(file=out)
    with console.status("counting beans"):
        pass
    with console.status("asking [bold]2 nodes[/]"):
        until = time.monotonic() + 60
        while not out.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
    assert out.getvalue() == "asking 2 nodes\n"


def test_what_is_done_now_is_said_at_first_and_again_though_nothing_new_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lcma.harness.terminal.LINE_SECONDS", 0.1)
    out = io.StringIO()
    with describing_work(Console(file=out)) as describe:
        time.sleep(0.3)
        assert out.getvalue() == ""
        for what in ("counting beans", "counting [bold]peas[/]"):
            describe(what)
            until = time.monotonic() + 60
            while out.getvalue().count(what) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert out.getvalue().count(what) >= 2
    said = out.getvalue()
    time.sleep(0.3)
    assert out.getvalue() == said


def test_a_name_that_is_no_text_can_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "b\udcff")
    assert user_name().startswith("b\\udcff@")
