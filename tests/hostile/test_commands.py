"""Hostile input of every kind through the commands.

It is accepted, or refused in one line with nothing changed. None of its code is run, nothing
outside the folder is touched, and no secret is shown.
"""

import subprocess
import time
from pathlib import Path

import pytest

from tests.hostile.cases import MAKERS, Templates, make
from tests.hostile.rooms import Case, Room

FEW = 2
"""Cases of each kind that are not slow."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("share", ["few", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", MAKERS)
def test_input_of_every_kind_is_taken_or_refused(
    kind: str, share: str, tmp_path: Path, templates: Templates
) -> None:
    count = MAKERS[kind][1]
    numbers = range(0, count, -(-count // FEW) if share == "few" else 1)
    problems = {}
    for number in numbers:
        room = Room(tmp_path / f"{number}")
        case = make(kind, number, room, templates)
        if case_problems := room.run(case):
            problems[f"{kind} {number}: {case.command}"] = case_problems
    assert not problems


def test_the_input_that_cases_change_is_valid(tmp_path: Path, templates: Templates) -> None:
    room = Room(tmp_path / "room")
    templates.fill(room)
    assert room.run(Case(["plan", "small.yaml", "--data", "data"], codes=(0,))) == []


def harm() -> None:
    """Do all that no input may bring about."""
    print("a password", "\x1b[31m", Path("../forbidden/file").read_text())
    for file in ("../forbidden/file", "../ran", "new"):
        Path(file).write_text("changed")
    subprocess.run(["true"])
    raise SystemExit(2)


def test_every_harm_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = "; ".join(Room(tmp_path / "harm").run(Case([], secrets=("password",), call=harm)))
    for problem in (
        "changed what is outside",
        "refused, and changed: new",
        "the secret password",
        "raw characters",
        "showed what is outside",
        "ran code of the input",
        "started a program",
    ):
        assert problem in problems
    problems = "; ".join(Room(tmp_path / "error").run(Case([], call=lambda: 1 / 0)))
    assert "a traceback (ZeroDivisionError: division by zero)" in problems
    monkeypatch.setattr("tests.hostile.rooms.SECONDS", 0.5)
    hang = Case([], call=lambda: time.sleep(100))
    assert "a hang" in "; ".join(Room(tmp_path / "hang").run(hang))
