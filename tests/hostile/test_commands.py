"""Hostile input of every kind through the commands.

It is accepted, or refused in one line with nothing changed. None of its code is run, nothing
outside the folder is touched, and no secret is shown.
"""

import subprocess
import time
from collections.abc import Callable
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


def write_outside() -> None:
    Path("../forbidden/file").write_text("changed")


def refuse_and_write() -> None:
    Path("new").touch()
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (write_outside, "changed what is outside"),
        (refuse_and_write, "refused, and changed: new"),
        (lambda: print("a password"), "the secret password"),
        (lambda: print("\x1b[31m"), "raw characters"),
        (lambda: print(Path("../forbidden/file").read_text()), "showed what is outside"),
        (lambda: Path("../ran").touch(), "ran code of the input"),
        (lambda: subprocess.run(["true"]), "started a program"),
        (lambda: time.sleep(100), "a hang"),
        (lambda: 1 / 0, "a traceback (ZeroDivisionError: division by zero)"),
    ],
)
def test_every_harm_is_noticed(
    call: Callable[[], object], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if problem == "a hang":
        monkeypatch.setattr("tests.hostile.rooms.SECONDS", 0.5)
    problems = Room(tmp_path / "room").run(Case([], secrets=("password",), call=call))
    assert problem in "; ".join(problems)
