"""Merges that are killed, raced, wrong or out of space: the target is sound, the error one line."""

import os
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import merge as merging
from lcma.db.integrity import check_integrity
from lcma.db.merge import Counts, merge
from lcma.harness.work.outages import wait_out
from tests.db.conftest import COST, ENGINES, HALF, Engine, Sites, World, index_table, result, trial
from tests.db.inspecting import execute, make_older
from tests.db.sites import (
    Launches,
    board,
    killed_at,
    merge_worlds,
    read_done_evidence,
    read_evidence,
)
from tests.hostile.test_databases import (
    damage_pages,
    read_files,
    write_content,
    write_other_database,
)
from tests.processes import run_in_fork
from tests.refusals import catch_refusal


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_and_two_merges_do_not_get_into_each_other_s_way(
    sites: Sites, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = sites.new("sqlite"), sites.new(engine)
    trials = [trial(name, seed, 100) for name in ("LLL", "HHL") for seed in range(12)]
    (jobs, _) = (world.plan_trials(*trials) for world in (source, target))

    def finish(world: World, owner: str, order: range) -> None:
        for index in order:
            claim = world.claim(jobs[index], owner=owner)
            if isinstance(claim, db.Job):
                continue
            trial_id = trials[index].id
            ending: dict[str, Any] = {
                "result": result(trial_id, 3.0 + index / 7),
                "tables": [index_table(trial_id, 1, HALF)],
                "metrics": [db.Metric("loss", 100, 4.0)],
                "cost": COST,
                "now": 1010.0,
            }
            assert wait_out(partial(world.store.finish, claim, "done", last_step=500, **ending))

    finish(source, "there", range(24))
    monkeypatch.setattr(merging, "TRIALS", 5)
    with ThreadPoolExecutor(6) as threads:
        workers = [threads.submit(finish, target, str(k), range(k, 24, 4)) for k in range(4)]
        databases = source.store.database, target.store.database
        merges = [threads.submit(merge, *databases) for _ in range(2)]
    for future in workers + merges:
        future.result()
    merge_worlds(source, target)
    merge_worlds(target, source)
    evidence, source_evidence = read_evidence(target), read_evidence(source)
    for name in ("measurements", "index_tables", "jobs", "metrics"):
        assert evidence[name] == source_evidence[name]
    assert len(target.store.view("results")) == 24
    assert not merge_worlds(source, target).changed


DEADLOCK = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') = 3 THEN
    RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER fail_once BEFORE INSERT ON measurements FOR EACH ROW EXECUTE FUNCTION fail_once();
"""


def test_a_part_of_a_merge_that_deadlocks_is_tried_again(sites: Sites) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("postgresql", "empty")
    with target.store.database.writer().begin() as connection:
        connection.exec_driver_sql(DEADLOCK)
    report = merge(source.store.database, target.store.database)
    assert report.tables["measurements"] == Counts(new=12)
    assert report.tables["attempts"] == Counts(new=5)
    assert read_evidence(target)["measurements"] == read_evidence(source)["measurements"]
    (event,) = (row for row in target.dump()["events"] if row.event == "merge")
    assert "12 measurements" in event.detail


@pytest.mark.integration
def test_a_merge_killed_at_any_commit_leaves_a_sound_part_and_is_completed(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches = Launches([sites.new("sqlite", "filled")])
    (source,) = launches.worlds
    launches.take(1, "rerun", 0, 0, "done", 1500)
    launches.take(2, "rerun", 0, 2, "done", 1500)
    launches.take(3, "evaluate", 0, 0, 1)
    monkeypatch.setattr(merging, "TRIALS", 2)
    monkeypatch.setattr(merging, "SEGMENTS", 1)
    outcomes: list[Any] = []
    ended = False
    while not ended:
        target = sites.new("sqlite", "filled")
        with killed_at(len(outcomes) + 1):
            merge(source.store.database, target.store.database)
            ended = True
        assert check_integrity(target.store.database).findings == ()
        merge(source.store.database, target.store.database)
        outcomes.append((read_done_evidence(target), board(target)))
    assert len(outcomes) > 4
    assert all(outcome == outcomes[-1] for outcome in outcomes)


def refuse_merge(source: str, target: str, *parts: str) -> None:
    catch_refusal(lambda: merge(db.locate(source), db.locate(target)), *parts)


def test_a_file_is_not_merged_with_itself(
    filled_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "link.db").symlink_to(filled_path)
    os.link(filled_path, tmp_path / "hard.db")
    monkeypatch.chdir(tmp_path)
    before = read_files(tmp_path)
    for name in ("link.db", "hard.db", filled_path.name, f"sqlite:///{filled_path}"):
        refuse_merge(name, str(filled_path), str(filled_path), "are the same database")
        refuse_merge(str(filled_path), name, "are the same database")
    assert read_files(tmp_path) == before


@pytest.mark.integration
def test_a_server_s_database_is_not_merged_with_itself(sites: Sites, postgres: Any) -> None:
    world = sites.new("postgresql", "filled")
    url = sa.make_url(world.store.url)
    with postgres.role("merger", "s3cret"):
        postgres.run(f"GRANT CONNECT ON DATABASE {url.database} TO merger")
        others = [
            url.set(drivername="postgresql"),
            url.update_query_dict({"options": "-csearch_path=public"}),
            url.set(username="merger", password="s3cret"),
            url.update_query_dict({"application_name": "other"}),
        ]
        execute(world.store.url, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO merger")
        for other in others:
            text = other.render_as_string(hide_password=False)
            refuse_merge(text, world.store.url, "are the same database")
            refuse_merge(world.store.url, text, "are the same database")
        file = sites.new("sqlite", "empty")
        merge(db.locate(others[2].render_as_string(hide_password=False)), file.store.database)
        (event,) = (row for row in file.dump()["events"] if row.event == "merge")
        assert "merger@" in event.detail
        assert "s3cret" not in repr(file.dump())
        execute(world.store.url, "DROP OWNED BY merger", "CREATE SCHEMA beside")
    beside = url.update_query_dict({"options": "-csearch_path=beside"})
    target = World(db.connect(beside.render_as_string(hide_password=False)))
    assert merge_worlds(world, target).tables["jobs"] == Counts(new=6)


def change(statement: str) -> Callable[[Path], list[int]]:
    return lambda path: execute(f"sqlite:///{path}", statement)


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "no results at"),
    "text": (write_content(b"bits per dim: 3.5\n" * 100), "not a SQLite database"),
    "other program": (write_other_database("CREATE TABLE trials (id INTEGER)"), "another program"),
    "damaged": (
        partial(damage_pages, mode="delete", tables="'attempts'", most=2**20),
        "is damaged, as `lcma db check` shows; go back to a copy of it",
    ),
    "newer": (
        change("UPDATE lcma_alembic_version SET version_num = '0999'"),
        "does not know",
    ),
    "older": (lambda path: make_older(f"sqlite:///{path}"), "lcma db upgrade"),
    "another number": (
        change("UPDATE measurements SET value = 1.5 WHERE value = 3.5"),
        "do not match their digest",
    ),
}
"""A few of the faults that test_checking.py has."""


@pytest.mark.parametrize("fault", SPOILT)
def test_nothing_is_merged_from_an_unsound_database(
    sites: Sites, tmp_path: Path, fault: str
) -> None:
    source, target = (sites.new("sqlite", "filled").store.database.name for _ in range(2))
    spoil, message = SPOILT[fault]
    spoil(Path(source))
    before = read_files(tmp_path)
    for path in (target, str(tmp_path / "x.db")):
        refuse_merge(source, path, source, message)
    if fault in ("text", "other program", "newer"):  # a target of this kind is left alone too
        refuse_merge(target, source, source, message)
    assert read_files(tmp_path) == before


def test_a_target_whose_disk_fills_up_stays_sound(
    sites: Sites, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("sqlite", "empty")
    sweeps = tuple(db.Sweep(id=str(i), name="x" * 10_000, spec="{}") for i in range(500))
    source.store.register(db.Registration(sweeps=sweeps))
    path = Path(target.store.database.name)
    most = path.stat().st_size + 2_500_000

    def merge_until_full() -> None:
        # In another process, since the limit cannot be lifted again.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        remedies = "make room on its disk", "merge again to go on"
        refuse_merge(source.store.url, target.store.url, str(path), *remedies)

    run_in_fork(merge_until_full)
    assert capfd.readouterr() == ("", "")
    assert check_integrity(target.store.database).findings == ()
    merge_worlds(source, target)
    assert read_evidence(target)["measurements"] == read_evidence(source)["measurements"]
