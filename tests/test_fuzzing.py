"""Some cases of the fuzzer, and that it notices what must not be; `make fuzz` runs all cases."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzzing.__main__ import run_case
from tests.fuzzing.cases import MAKERS, SETS
from tests.fuzzing.running import Case, Room
from tests.fuzzing.templates import Templates

FEW = 2
"""Cases of each kind."""


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("fuzzing"))


@pytest.mark.parametrize("kind", MAKERS)
def test_input_of_every_kind_is_taken_or_refused(
    kind: str, tmp_path: Path, templates: Templates
) -> None:
    for number in range(0, MAKERS[kind][1], -(-MAKERS[kind][1] // FEW)):
        _, outcome = run_case(kind, number, tmp_path, templates)
        assert outcome.problems == (), f"python -m tests.fuzzing {kind} {number}\n{outcome.err}"


@pytest.mark.slow_on("small.yaml")
@pytest.mark.parametrize("name", ["small.yaml", "spec.yaml"])
def test_the_sweep_files_that_cases_change_are_valid(
    name: str, tmp_path: Path, templates: Templates
) -> None:
    room = Room(tmp_path / "room")
    templates.copy_place(room.here)
    outcome = room.run(Case(["plan", name, "--data", "data"]))
    assert (outcome.code, outcome.problems) == (0, ()), outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_archives_that_cases_change_are_valid(
    name: str, tmp_path: Path, templates: Templates
) -> None:
    room = Room(tmp_path / "room")
    templates.copy_source(name, room.here)
    set_name = name.removesuffix("-tar").removesuffix("-zip")
    source = "cifar10-tar/cifar.tar.gz" if name == "cifar10-tar" else name
    outcome = room.run(Case(["data", "prepare", set_name, "--from", source, "--to", "root"]))
    assert (outcome.code, outcome.problems) == (0, ()), outcome.err


def test_modules_that_a_case_is_the_first_to_import_are_not_compiled_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "never_imported.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    case = Case([], call=lambda: __import__("never_imported"))
    assert Room(tmp_path / "room").run(case).problems == ()


def write_outside() -> None:
    Path("../forbidden/file").write_text("changed")


def write_elsewhere() -> None:
    Path("../../elsewhere").write_text("written")


def refuse_and_write() -> None:
    Path("left").touch()
    raise SystemExit(2)


def keep_secret_in_file() -> None:
    Path("log").write_text("password")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (write_outside, "changed what is outside"),
        (write_elsewhere, "touched"),
        (refuse_and_write, "refused, and changed: left"),
        (keep_secret_in_file, "the secret password"),
        (lambda: print("a password"), "the secret password"),
        (lambda: print("\x1b[31m"), "raw characters"),
        (lambda: print(Path("../forbidden/file").read_text()), "showed what is outside"),
        (lambda: Path("../ran").touch(), "ran code of the input"),
        (lambda: subprocess.run(["true"]), "started a program"),
        (lambda: time.sleep(100), "a hang"),
        (lambda: 1 / 0, "a traceback (ZeroDivisionError: division by zero)"),
        (lambda: sys.exit(5), "exit code 5"),
    ],
)
def test_what_must_not_be_is_noticed(
    call: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if said == "a hang":
        monkeypatch.setattr("tests.fuzzing.running.SECONDS", 0.5)
    outcome = Room(tmp_path / "room").run(Case([], secrets=("password",), call=call))
    assert said in "; ".join(outcome.problems)
