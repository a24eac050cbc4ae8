"""`lcma db` and `lcma sql --schema`."""

import json
import re
from pathlib import Path

import pytest

from lcma import db
from lcma.db import run_sql
from lcma.db.migrate import current_version
from lcma.db.schema import metadata
from lcma.db.views import views
from tests.db.conftest import plan
from tests.db.inspecting import execute, make_older
from tests.harness.cli.conftest import Lcma, output_of, refused


def test_a_database_from_nothing_to_an_upgrade(lcma: Lcma, new_place: str) -> None:
    name, latest = db.locate(new_place).name, current_version()
    for command in ("upgrade", "check", "backup"):
        refused(lcma("db", command, "--db", new_place), f"no results at {name}")
        assert not db.exists(new_place)
    db.connect(new_place)
    current = f"{name} has the current schema, {latest}\n"
    assert lcma("db", "upgrade", "--db", new_place) == (0, current, "")
    older = make_older(new_place)
    upgrade, copy = output_of(lcma("db", "upgrade", "--db", new_place)).splitlines()
    assert upgrade == f"upgraded {name} from schema {older} to {latest}"
    if new_place.startswith("sqlite"):
        path = copy.removeprefix("a copy from before the upgrade: ")
        assert db.locate(path).identify().revision == older
    else:
        assert "no copy was made" in copy
    assert lcma("db", "upgrade", "--db", new_place) == (0, current, "")


def test_a_view_that_is_missing_is_made_anew_by_an_upgrade(lcma: Lcma, new_place: str) -> None:
    name = db.connect(new_place).name
    execute(new_place, "DROP VIEW failures")
    for command in ("board", "db check"):
        problem = f"{name} has another view failures than its schema"
        refused(
            lcma(*command.split(), "--db", new_place), problem, "`lcma db upgrade` makes its views"
        )
    out = output_of(lcma("db", "upgrade", "--db", new_place))
    assert out.startswith(f"made the views of {name} again, since these differed: failures")
    assert lcma("db", "check", "--db", new_place)[0] == 0
    assert execute(new_place, "SELECT count(*) FROM failures") == [(0,)]


def test_faults_are_listed_as_lines_or_json_and_end_with_code_1(
    filled_folder: Path, lcma: Lcma
) -> None:
    name = filled_folder / "lcma.db"
    rows = "2 of contribution_maps, 3 of index_tables, 12 of measurements, "
    rows += "3 of artifacts, 1 of protocols"
    assert output_of(lcma("db", "check")) == f"no fault found in {name}; rows read: {rows}\n"
    assert json.loads(lcma("db", "check", "--json")[1])["findings"] == []
    execute(
        f"sqlite:///{name}",
        f"UPDATE contribution_maps SET digest = '{'0' * 64}' WHERE split = 2",
        "UPDATE attempts SET replaces = 'x\x1b[2J' WHERE outcome = 'oom'",
    )
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
    finding = {"table": "contribution_maps", "row": row}
    assert finding | {"problem": "its values do not match their digest"} in report["findings"]


def test_a_command_that_faults_of_the_database_stop_names_them(
    filled_folder: Path, lcma: Lcma
) -> None:
    name = filled_folder / "lcma.db"
    execute(f"sqlite:///{name}", "DELETE FROM environments")
    for database in (["--db", "lcma.db"], ["--db=lcma.db"], []):
        refused(lcma("export", *database), f"{name} has 6 faults, which `lcma db check` lists")


def test_a_backup_is_a_named_file_or_one_beside_the_database(
    filled_folder: Path, lcma: Lcma
) -> None:
    path, copy = filled_folder / "lcma.db", filled_folder / "copy.db"
    out = output_of(lcma("db", "backup", "--out", "copy.db"))
    assert out == f"copied {path} to {copy}\n"
    out = output_of(lcma("db", "backup"))
    assert Path(out.split(" to ")[1].strip()).is_file()


def test_the_schema_is_shown_without_a_database_views_first(lcma: Lcma, in_tmp: Path) -> None:
    relations = json.loads(output_of(lcma("sql", "--schema", "--json")))
    names = [(relation["kind"], relation["name"]) for relation in relations]
    assert names == [
        *(("view", name) for name in views.tables),
        *(("table", table.name) for table in metadata.sorted_tables),
    ]
    maps = next(relation for relation in relations if relation["name"] == "contribution_maps")
    (mean,) = (column for column in maps["columns"] if column["name"] == "mean_log_det")
    assert (mean["type"], "nats per image" in mean["meaning"]) == ("float", True)
    out = lcma("sql", "--schema")[1]
    assert all(f"{kind} {name}\n" in out for kind, name in names)
    (relation,) = json.loads(lcma("sql", "--schema", "results", "--json")[1])
    assert relation["name"] == "results"
    assert list(in_tmp.iterdir()) == []


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_a_merge_counts_its_rows(filled_folder: Path, lcma: Lcma, new_place: str) -> None:
    """The target has another number for a trial, and another trial runs there."""
    world = plan(db.connect(new_place))
    world.finish_trial(0, bits_per_dim=3.25, now=1005.0, owner="here")
    world.win(world.trials[3], owner="here")
    merge = ("db", "merge", "lcma.db", "--db", new_place)
    source, target = filled_folder / "lcma.db", world.store.name
    lines = output_of(lcma(*merge, "--dry-run")).splitlines()
    (would_copy,) = (line for line in lines if " would be copied from " in line)
    assert would_copy.endswith(f" rows would be copied from {source} to {target}")
    assert world.store.result("LLL-0-100", "d" * 64, "plain") is None
    report = json.loads(output_of(lcma(*merge, "--dry-run", "--json")))
    assert (report["source"], report["target"]) == (str(source), target)
    assert report["tables"]["measurements"] == {"new": 12, "filled": 0, "equal": 0}
    out = output_of(lcma(*merge))
    assert would_copy.replace("would be copied", "copied") in out.splitlines()
    assert world.store.result("LLL-0-100", "d" * 64, "plain") is not None
    assert f"nothing in {source} is new to {target}" in output_of(lcma(*merge)).splitlines()
    execute(f"sqlite:///{source}", "UPDATE attempts SET last_step = 7 WHERE outcome = 'oom'")
    refused(lcma(*merge), "its last_step is 7 there and 3 here")


@pytest.mark.slow_on("postgresql")
def test_a_merge_makes_the_database(filled_folder: Path, lcma: Lcma, new_place: str) -> None:
    merge = ("db", "merge", "lcma.db", "--db", new_place)
    refused(lcma(*merge, "--dry-run"), "lcma db upgrade")
    assert not db.exists(new_place)
    output_of(lcma(*merge))
    assert run_sql(new_place, "SELECT count(*) FROM results").rows == ((3,),)
