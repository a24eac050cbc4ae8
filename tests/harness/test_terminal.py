"""Console output."""

import io
import os
import time

import pytest

from lcma.harness.cli.main import main
from lcma.harness.terminal import Console, read_user_name


def test_without_a_terminal_a_status_prints_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out)
    with console.status("counting beans"):
        pass
    monkeypatch.setattr("lcma.harness.terminal.LINE_SECONDS", 0.1)
    with console.status("asking [bold]2 nodes[/]") as status:
        for line in ("asking 2 nodes, 0 s\n", "counting peas, "):
            until = time.monotonic() + 60
            while out.getvalue().count(line) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            assert out.getvalue().count(line) >= 2, "the line again, with the seconds"
            status.update("counting peas")
    text = out.getvalue()
    assert "beans" not in text
    time.sleep(0.3)
    assert out.getvalue() == text


@pytest.mark.parametrize(
    ("command", "code"), [("sql --schema", 0), ("data list", 0), ("launch demo", 141)]
)
def test_a_reader_that_goes_away_is_no_error_and_no_end_of_a_launch(
    monkeypatch: pytest.MonkeyPatch, command: str, code: int
) -> None:
    def print_much(*_: object, **__: object) -> None:
        Console().print("a line")

    monkeypatch.setattr("lcma.harness.cli.launching.launch_sweep", print_much)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stdout, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        with pytest.raises(SystemExit) as ended:
            main(command.split())
    assert ended.value.code == code


def test_a_name_that_is_no_text_can_be_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "b\udcff")
    assert read_user_name().startswith("b\\udcff@")
