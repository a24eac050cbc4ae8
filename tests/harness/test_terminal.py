"""What long work says of itself while it lasts."""

import io
import time

from lcma.harness.terminal import Console


def test_what_is_done_is_said_off_a_terminal_once_it_takes_long() -> None:
    out = io.StringIO()
    console = Console(file=out)
    with console.status("counting beans"):
        pass
    with console.status("asking [bold]2 nodes[/]"):
        until = time.monotonic() + 60
        while not out.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
    assert out.getvalue() == "asking 2 nodes\n"
