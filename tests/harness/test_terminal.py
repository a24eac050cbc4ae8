"""What long work says of itself while it lasts."""

import io
import time

import pytest

from lcma.harness.terminal import Console


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
