"""`lcma db` and `lcma sql --schema`, as they are typed."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lcma import db
from lcma.db import run_sql
from lcma.db.migrate import current_version
from lcma.db.schema import metadata
from lcma.db.views import views
from tests.db.conftest import fill, plan
from tests.db.inspecting import execute, make_older
from tests.harness.cli.conftest import Lcma, output_of, refused


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place where nothing is yet, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'results.db'}"
    return str(request.getfixturevalue("postgres_url"))


def test_a_database_from_nothing_to_an_upgrade(lcma: Lcma, url: str) -> None:
    name, latest = db.locate(url).name, current_version()
    for command in ("upgrade", "check", "backup"):
        refused(lcma("db", command, "--db", url), f"no results at {name}")
        assert not db.exists(url)
    assert lcma("db", "init", "--db", url) == (0, f"made {name}, schema {latest}\n", "")
    there = f"{name} exists, schema {latest}"
    assert lcma("db", "init", "--db", url) == (0, f"{there}\n", "")
    current = f"{name} has the current schema, {latest}\n"
    assert lcma("db", "upgrade", "--db", url) == (0, current, "")
    older = make_older(url)
    code, out, _ = lcma("db", "init", "--db", url)
    assert (code, out) == (
        0,
        f"{name} exists, schema {older}; `lcma db upgrade` brings it to the current one\n",
    )
    code, out, _ = lcma("db", "upgrade", "--db", url)
    done, copy = out.splitlines()
    assert (code, done) == (0, f"upgraded {name} from schema {older} to {latest}")
    if url.startswith("sqlite"):
        assert (
            db.locate(copy.removeprefix("a copy from before the upgrade: ")).identify().revision
            == older
        )
    else:
        assert "no copy was made" in copy
    assert lcma("db", "upgrade", "--db", url) == (0, current, "")


def test_a_view_that_is_missing_is_made_anew_by_an_upgrade(lcma: Lcma, url: str) -> None:
    name = db.connect(url).name
    execute(url, "DROP VIEW failures")
    for command in ("board", "db check", "db init"):
        code, out, err = lcma(*command.split(), "--db", url)
        assert (code, out) == (2, "")
        assert f"lcma: {name} has another view failures than its schema" in err
        assert err.endswith("`lcma db upgrade` makes its views anew\n")
    code, out, _ = lcma("db", "upgrade", "--db", url)
    assert code == 0
    assert out.startswith(f"made the views of {name} again, since these differed: failures")
    assert lcma("db", "check", "--db", url)[0] == 0
    assert execute(url, "SELECT count(*) FROM failures") == [(0,)]


def test_faults_are_told_in_lines_and_in_json_and_by_the_exit_code(
    lcma: Lcma, in_tmp: Path
) -> None:
    fill(db.connect("lcma.db"))
    code, out, err = lcma("db", "check")
    rows = "2 of contribution_maps, 3 of index_tables, 12 of measurements, "
    rows += "3 of artifacts, 1 of protocols"
    name = in_tmp / "lcma.db"
    assert (code, out, err) == (0, f"no fault found in {name}; rows read: {rows}\n", "")
    assert json.loads(lcma("db", "check", "--json")[1])["findings"] == []
    with closing(sqlite3.connect("lcma.db")) as connection:
        connection.execute("UPDATE contribution_maps SET digest = ? WHERE split = 2", ("0" * 64,))
        connection.execute("UPDATE attempts SET replaces = 'x\x1b[2J' WHERE outcome = 'oom'")
        connection.commit()
    code, out, err = lcma("db", "check")
    lines = out.splitlines()
    assert (code, err) == (1, "")
    (damaged,) = [line for line in lines if "its values do not match their digest" in line]
    assert re.fullmatch(r"contribution_maps [0-9a-f]{20}, 2, cumulative: its .*", damaged)
    assert any(line.endswith(r"its replaces x\x1b[2J is not in attempts") for line in lines)
    assert lines[-1].startswith(f"{len(lines) - 1} faults found in {name}; ")
    code, out, err = lcma("db", "check", "--json")
    report = json.loads(out)
    assert (code, err, report["database"]) == (1, "", str(name))
    assert len(report["findings"]) == len(lines) - 1
    row = damaged.removeprefix("contribution_maps ").partition(":")[0]
    found = {"table": "contribution_maps", "row": row}
    assert found | {"problem": "its values do not match their digest"} in report["findings"]


def test_a_command_that_faults_of_the_database_stop_names_them(lcma: Lcma, in_tmp: Path) -> None:
    fill(db.connect("lcma.db"))
    with closing(sqlite3.connect("lcma.db")) as connection:
        connection.execute("DELETE FROM environments")
        connection.commit()
    for database in (["--db", "lcma.db"], ["--db=lcma.db"], []):
        code, out, err = lcma("export", *database)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(
            f"lcma: {in_tmp / 'lcma.db'} has 6 faults, which `lcma db check` lists"
        )


def test_a_backup_is_told_and_never_written_over(lcma: Lcma, in_tmp: Path) -> None:
    fill(db.connect("lcma.db"))
    out = in_tmp / "copy.db"
    assert lcma("db", "backup", "--out", "copy.db") == (
        0,
        f"copied {in_tmp / 'lcma.db'} to {out}\n",
        "",
    )
    before = out.read_bytes()
    code, printed, err = lcma("db", "backup", "--out", "copy.db")
    assert (code, printed, err) == (2, "", f"lcma: {out} is there already: give another name\n")
    assert out.read_bytes() == before
    code, printed, _ = lcma("db", "backup")
    assert code == 0
    assert Path(printed.split(" to ")[1].strip()).is_file()


def test_the_schema_is_told_views_first_without_a_database(lcma: Lcma, in_tmp: Path) -> None:
    code, out, _ = lcma("sql", "--schema", "--json")
    found = json.loads(out)
    assert code == 0
    names = [(relation["kind"], relation["name"]) for relation in found]
    assert names == [
        *(("view", name) for name in views.tables),
        *(("table", table.name) for table in metadata.sorted_tables),
    ]
    maps = next(relation for relation in found if relation["name"] == "contribution_maps")
    (mean,) = (column for column in maps["columns"] if column["name"] == "mean_log_det")
    assert (mean["type"], "nats per image" in mean["meaning"]) == ("float", True)
    shown = lcma("sql", "--schema")[1]
    assert all(f"{kind} {name}\n" in shown for kind, name in names)
    (one,) = json.loads(lcma("sql", "--schema", "results", "--json")[1])
    assert one["name"] == "results"
    assert list(in_tmp.iterdir()) == []


@pytest.fixture
def sites(url: str, in_tmp: Path) -> tuple[str, str]:
    """A filled SQLite file, and a database on each engine with another number for a trial and
    another trial running."""
    there, here = str(in_tmp / "other.db"), url
    fill(db.connect(there))
    world = plan(db.connect(here))
    world.finish_trial(0, bits_per_dim=3.25, now=1005.0, owner="here")
    world.win(world.trials[3], owner="here")
    return there, here


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_a_merge_is_told_by_table(lcma: Lcma, sites: tuple[str, str]) -> None:
    there, here = sites
    names = [db.locate(one).name for one in sites]
    out = output_of(lcma("db", "merge", there, "--db", here, "--dry-run"))
    (would,) = (line for line in out.splitlines() if " would be copied from " in line)
    assert would.endswith(f" rows would be copied from {names[0]} to {names[1]}")
    assert db.connect(here).result("LLL-0-100", "d" * 64, "plain") is None
    report = json.loads(output_of(lcma("db", "merge", there, "--db", here, "--dry-run", "--json")))
    assert (report["source"], report["target"]) == (*names,)
    assert report["tables"]["measurements"] == {"new": 12, "filled": 0, "equal": 0}
    out = output_of(lcma("db", "merge", there, "--db", here))
    assert would.replace("would be copied", "copied") in out.splitlines()
    assert db.connect(here).result("LLL-0-100", "d" * 64, "plain") is not None
    out = output_of(lcma("db", "merge", there, "--db", here))
    assert f"nothing in {names[0]} is new to {names[1]}" in out.splitlines()
    execute(f"sqlite:///{there}", "UPDATE attempts SET last_step = 7 WHERE outcome = 'oom'")
    refused(lcma("db", "merge", there, "--db", here), "its last_step is 7 there and 3 here")


@pytest.mark.slow_on("postgresql")
def test_a_merge_makes_the_database(lcma: Lcma, url: str) -> None:
    fill(db.connect("other.db"))
    refused(lcma("db", "merge", "other.db", "--db", url, "--dry-run"), "lcma db init")
    assert not db.exists(url)
    output_of(lcma("db", "merge", "other.db", "--db", url))
    assert run_sql(url, "SELECT count(*) FROM results").rows == ((3,),)
