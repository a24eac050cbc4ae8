"""A planned sweep on each engine, and commands on it."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness import shards, terminal
from lcma.harness.cli import main as cli
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.show import pictures
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from tests.db.conftest import SqliteTemplates, Stage, World
from tests.harness.cli.history import History
from tests.harness.conftest import SMALL, merged

Lcma = Callable[..., tuple[int, str, str]]
"""Runs a command: exit code, stdout and stderr."""


@pytest.fixture
def planned(
    new_url: Callable[[Stage], str], in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> World:
    """The default database, on each engine: the plan of `tests.db.conftest`, which has not run."""
    url = new_url("planned")
    monkeypatch.setenv("LCMA_DB", url)
    monkeypatch.setenv("COLUMNS", "80")
    return World(db.connect(url, create=False))


@pytest.fixture
def by_default(url: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the database of the module the default in an empty folder."""
    monkeypatch.setenv("LCMA_DB", url)


def run_lcma(*arguments: object) -> int:
    """Run a command in this process; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return int(ended.value.code or 0)


@pytest.fixture
def lcma(capsys: Any, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Lcma:
    """A function that runs a command in an empty folder."""
    # However slow this machine is, no line says what a command is doing.
    monkeypatch.setattr(terminal, "LINE_SECONDS", 1e9)

    def run(*arguments: object) -> tuple[int, str, str]:
        code = run_lcma(*arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def filled_folder(sqlite_templates: SqliteTemplates, in_tmp: Path) -> Path:
    """The current folder, with a database of three results."""
    sqlite_templates.copy("filled", in_tmp).rename("lcma.db")
    return in_tmp


def refused(outcome: tuple[int, str, str], *parts: str) -> None:
    """Check that a command ended with code 2 and one readable line with these parts."""
    code, out, err = outcome
    assert (code, out, err.count("\n")) == (2, "", 1), outcome
    assert err.startswith("lcma: ")
    assert err[:-1].isprintable()
    assert len(err) < 2100
    for part in parts:
        assert part in err


def output_of(outcome: tuple[int, str, str]) -> str:
    """Return the stdout of a command that succeeded without a note on stderr."""
    code, out, err = outcome
    assert (code, err) == (0, ""), outcome
    return out


def words_of(outcome: tuple[int, str, str]) -> str:
    """Return the same with single spaces, however its lines are broken."""
    return " ".join(output_of(outcome).split())


@pytest.fixture
def history(
    new_url: Callable[[Stage], str],
    place: Place,
    lcma: Lcma,
    in_tmp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> History:
    """The default database, on each engine: a small sweep that has not run. No reference."""
    url = new_url("empty")
    monkeypatch.setenv("LCMA_DB", url)
    monkeypatch.setenv("LCMA_DATA", str(place.data))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", in_tmp)
    return History(dataclasses.replace(place, db=url), lcma, in_tmp)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the pictures of `budgets` and `curves`, which take longest."""
    for name in ("draw_budgets", "draw_curves"):
        monkeypatch.setattr(pictures, name, lambda *_: Path("none"))


def train(place: Place, seeds: Sequence[int] = (0,)) -> db.Store:
    """Train one trial for each seed; return the store."""
    store = db.connect(place.db)
    change = {"matrix": {"factorization": ["conventional"]}, "seeds": list(seeds)}
    plan = make_plan(specs.check(merged(SMALL, change), "test"), place, store)
    register_plan(plan, place, store)
    for work in make_works(plan, place, owner="trainer", device="cpu"):
        assert run_work(work).ending == "done"
    return store
