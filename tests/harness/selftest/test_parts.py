"""The parts of a self-test: that no boundary is forgotten, and that a difference is found."""

import ast
import importlib
import inspect
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from lcma import db, harness
from lcma.harness.cli import main as cli
from lcma.harness.kill_points import DRIVER, FILES, HOOK_VARIABLE, TUNER, call_worker_hook
from lcma.harness.selftest.comparison import compare_runs, read_run
from lcma.harness.selftest.kills import Kill, KillOrder, KillOrders
from lcma.harness.selftest.schedule import (
    BOUNDARIES,
    COMMITS_OF_LAUNCHES,
    COMMITS_OF_WORKERS,
    EACH,
    FUNCTIONS,
    make_schedule,
)
from tests.db.conftest import fill
from tests.harness.tuning.conftest import in_child

pytestmark = pytest.mark.xdist_group("selftest")

OF_OTHER_COMMANDS = {
    "add_evaluation",
    "add_verification",
    "forget_artifacts",
    "release_stopped",
    "release_sweep",
    "request_stop",
    "rerun",
    "retry",
    "stop_jobs",
}
"""Commits that no launch makes, but for one that is told to --retry."""

OF_LACK = {"give_up"}
"""Those of a launch whose jobs ran out of memory where no node has more."""

OF_LIMITS = {"end_launch"}
"""Those of a launch that ends at a limit of hours."""

OF_SILENCE = {"require_writable"}
"""Those of a launch whose workers do not renew their leases; they change nothing."""


def test_every_commit_of_a_launch_or_a_worker_is_a_boundary() -> None:
    methods = inspect.getmembers(db.Store, inspect.isfunction)
    commits = {name for name, body in methods if "_writer.begin" in inspect.getsource(body)}
    known = set(COMMITS_OF_WORKERS) | set(COMMITS_OF_LAUNCHES)
    of_the_store = known - {"create", "deliver"} | {"add_metrics"}  # which only delivers
    others = OF_OTHER_COMMANDS | OF_LACK | OF_LIMITS | OF_SILENCE
    assert commits - others == of_the_store


def test_functions_that_name_a_commit_are_there() -> None:
    for module, function in FUNCTIONS.values():
        assert callable(getattr(importlib.import_module(module), function))
    assert {*FUNCTIONS} < {*COMMITS_OF_WORKERS, *COMMITS_OF_LAUNCHES}


@pytest.mark.parametrize("hook", ["lcma.harness.selftest.armed:nothing:x", "no_module:f:x", "x"])
def test_a_hook_that_is_not_there_stops_the_worker(
    monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    monkeypatch.setenv(HOOK_VARIABLE, hook)
    with pytest.raises((AttributeError, ImportError, ValueError)):
        call_worker_hook("j")


def moments_in(path: Path) -> set[str]:
    """Return the kill points that a module passes; fail for a rename outside any."""
    found: set[str] = set()

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "kill_point":
                    inside = True
                    if isinstance(call.args[0], ast.Constant):
                        found.add(ast.literal_eval(call.args[0]))
        if isinstance(node, ast.keyword) and node.arg == "moment":  # of a file in some place
            found.add(ast.literal_eval(node.value))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert inside or node.func.attr != "rename", f"{path}:{node.lineno} is at no kill point"
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text()), False)
    return found


def test_every_rename_of_a_worker_is_a_boundary() -> None:
    root = Path(harness.__file__).parent
    folders = ("run", "train", "storage", "tuning")
    modules = [path for folder in folders for path in (root / folder).glob("*.py")]
    found = set().union(*map(moments_in, modules))
    assert found == {*FILES, *DRIVER, *TUNER}


@pytest.mark.parametrize("kills", [300, 270, 240])
def test_enough_kills_meet_each_boundary_five_times_on_each_side(kills: int) -> None:
    wanted = make_schedule(kills, 0, nodes=True)
    assert len(wanted) == kills
    met = Counter(one.target for one in wanted)
    sides = [f"{moment}.{when}" for moment in BOUNDARIES for when in ("before", "after")]
    assert min(met[side] for side in sides) >= EACH
    assert met["step.before"] + met["step.after"] == round(kills / 4)


def test_a_schedule_is_the_same_for_the_same_seed() -> None:
    assert make_schedule(30, 4, nodes=False) == make_schedule(30, 4, nodes=False)
    assert make_schedule(30, 4, nodes=False) != make_schedule(30, 5, nodes=False)


def test_one_of_many_takes_an_order(tmp_path: Path) -> None:
    orders = KillOrders(tmp_path)
    orders.make()
    orders.give(KillOrder(7, "finish", "before"))
    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(lambda _: orders.take("finish.before"), range(64)))
    assert [order for order in taken if order] == [KillOrder(7, "finish", "before")]
    assert orders.take("finish.after") is None


@pytest.mark.slow_on("postgresql-before-0")
@pytest.mark.parametrize(("when", "there"), [("before", 0), ("after", 1)])
def test_a_process_dies_on_its_side_of_a_commit(
    new_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, there: int
) -> None:
    """Before it nothing of it is there for others, after it all is; the log says so."""
    db.connect(new_place).close()
    orders = KillOrders(tmp_path / "kills")
    orders.make()
    orders.give(KillOrder(1, "register", when))
    hook = f"lcma.harness.selftest.armed:arm_worker:{orders.folder}"
    monkeypatch.setenv(HOOK_VARIABLE, hook)

    def register() -> None:
        call_worker_hook("j")
        store = db.connect(new_place)
        store.register(db.Registration(sweeps=(db.Sweep(id="s", name="x", spec="{}"),)))

    assert os.waitstatus_to_exitcode(in_child(register)) == -signal.SIGKILL
    assert len(db.connect(new_place).sweeps()) == there
    (kill,) = orders.carried_out()
    assert isinstance(kill, Kill)
    assert (kill.number, kill.who, kill.target) == (1, "worker", f"register.{when}")
    assert kill.jobs == {"pending": 0, "running": 0, "done": 0, "diverged": 0, "failed": 0}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> db.Store:
    """A database with something of everything."""
    return fill(db.connect(str(tmp_path_factory.mktemp("filled") / "filled.db"))).store


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE measures SET value = value + 1e-12 WHERE name = 'log_det'", "log_det"),
        ("DELETE FROM index_tables WHERE trial_id = 'LLL-0-100'", "is missing"),
        ("UPDATE metrics SET value = 4.5 WHERE step = 100 AND curve_id = 1", "curves"),
        ("UPDATE contribution_maps SET images = 7 WHERE split = 1", "images is 7"),
        ("UPDATE attempts SET outcome = 'timeout' WHERE outcome = 'oom'", "ended as timeout"),
        (
            "UPDATE attempts SET token = 9, job_id = (SELECT id FROM jobs WHERE trial_id = "
            "'LLL-0-100') WHERE job_id = (SELECT id FROM jobs WHERE trial_id = 'channel-0-None')",
            "by 2 attempts",
        ),
    ],
)
def test_a_difference_is_named(filled: db.Store, tmp_path: Path, damage: str, said: str) -> None:
    other = db.connect(str(db.locate(filled.url).backup(tmp_path / "other.db")))
    wanted = read_run(filled)
    same = compare_runs(wanted, read_run(other))
    assert same == list(wanted.faults)  # its jobs are not all done
    with sa.create_engine(other.url, poolclass=sa.NullPool).begin() as connection:
        assert connection.execute(sa.text(damage)).rowcount >= 1
    lines = compare_runs(wanted, read_run(other))
    assert any(said in line for line in lines)
    assert lines != same


def test_what_cannot_be_is_refused_in_one_line(
    in_tmp: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_tmp / "there.db").write_text("")
    connection = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT").connect()
    with connection:
        connection.execute(sa.text("CREATE SCHEMA other"))
        connection.execute(sa.text("CREATE TABLE other.mine (x int)"))
    before = sorted(in_tmp.iterdir())
    refused: list[tuple[list[str], str]] = [
        (["--kill", "0"], "--kill 0"),
        (["--local", "--ray", "127.0.0.1:1"], "exclude each other"),
        (["--ray", "127.0.0.1:1"], "--runs"),
        (["--local", "--db", "there.db"], "is there already"),
        (["--local", "--db", "nowhere/x.db"], "is not a folder"),
        (["--local", "--db", "x.txt"], "is not a database"),
        (["--local", "--db", postgres_url], "is not empty, it has other.mine"),
        (["--local", "--db", f"{postgres_url}&options=-cx=y"], "options"),
    ]
    for options, said in refused:
        with pytest.raises(SystemExit) as end:
            cli.main(["selftest", *options])
        assert end.value.code == 2
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert said in line, line
        assert printed.out == ""
    assert sorted(in_tmp.iterdir()) == before


def test_a_moment_that_nobody_watches_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from lcma.harness.kill_points import install_hook, kill_point

    passed: list[tuple[str, str]] = []

    def hook(name: str, when: str) -> None:
        passed.append((name, when))

    with kill_point("weights"):
        pass
    install_hook(hook)
    try:
        with kill_point("weights"):
            passed.append(("in", "it"))
        with pytest.raises(OSError), kill_point("checkpoint"):
            raise OSError
    finally:
        install_hook(None)
    assert passed == [
        ("weights", "before"),
        ("in", "it"),
        ("weights", "after"),
        ("checkpoint", "before"),
    ]
