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
from lcma.sweeps.errors import UserError
from tests.db.conftest import (
    COST,
    DATA,
    ENGINES,
    HALF,
    Engine,
    World,
    index_table,
    result,
    trial,
)
from tests.db.inspecting import execute, make_older
from tests.db.sites import Launches, Sites, agreed, board, killed_at, known, merged
from tests.hostile.test_databases import fill, foreign, listing, other_program, overwrite
from tests.processes import run_in_fork


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
@pytest.mark.parametrize("engine", ENGINES)
def test_workers_and_two_merges_do_not_get_into_each_other_s_way(
    sites: Sites, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = sites.new("sqlite"), sites.new(engine)
    trials = [trial(name, seed, 100) for name in ("LLL", "HHL") for seed in range(12)]
    jobs = [db.PlannedJob.of_trial(one.id, DATA.digest, steps=500) for one in trials]

    def finish(world: World, owner: str, order: range) -> None:
        for index in order:
            claim = world.claim(jobs[index].id, owner=owner)
            if isinstance(claim, db.Job):
                continue
            own = trials[index].id
            made: Any = {
                "result": result(own, 3.0 + index / 7),
                "tables": [index_table(own, 1, HALF)],
                "metrics": [db.Metric("loss", 100, 4.0)],
                "now": 1010.0,
            }
            store = world.store
            assert wait_out(partial(store.finish, claim, "done", last_step=500, cost=COST, **made))

    for world in (source, target):
        world.store.register(db.Registration(trials=tuple(trials), jobs=tuple(jobs)))
    finish(source, "there", range(24))
    monkeypatch.setattr(merging, "TRIALS", 5)
    with ThreadPoolExecutor(6) as threads:
        working = [threads.submit(finish, target, str(k), range(k, 24, 4)) for k in range(4)]
        databases = source.store.database, target.store.database
        merges = [threads.submit(merge, *databases) for _ in range(2)]
    for one in working + merges:
        one.result()
    merged(source, target)
    merged(target, source)
    here, there = known(target), known(source)
    for name in ("measurements", "index_tables", "jobs", "metrics"):
        assert here[name] == there[name]
    assert len(target.store.view("results")) == 24
    assert not merged(source, target).changed


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


def test_a_part_that_lost_against_a_worker_is_tried_again(sites: Sites) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("postgresql", "empty")
    with target.store.database.writer().begin() as connection:
        connection.exec_driver_sql(DEADLOCK)
    report = merge(source.store.database, target.store.database)
    assert report.tables["measurements"] == Counts(new=12)
    assert report.tables["attempts"] == Counts(new=5)
    here, there = known(target), known(source)
    assert here["measurements"] == there["measurements"]
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
    left: list[Any] = []
    ended = False
    while not ended:
        target = sites.new("sqlite", "filled")
        with killed_at(len(left) + 1):
            merge(source.store.database, target.store.database)
            ended = True
        assert check_integrity(target.store.database).findings == ()
        merge(source.store.database, target.store.database)
        left.append((agreed(target), board(target)))
    assert len(left) > 4
    assert all(one == left[-1] for one in left)


def refused(source: str, target: str, *words: str) -> None:
    """Assert that a merge raises an error of one line with these words."""
    with pytest.raises(UserError) as caught:
        merge(db.locate(source), db.locate(target))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    for word in words:
        assert word in message


def test_a_file_is_not_merged_with_itself(
    filled_path: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "link.db").symlink_to(filled_path)
    os.link(filled_path, tmp_path / "hard.db")
    monkeypatch.chdir(tmp_path)
    before = listing(tmp_path)
    for name in ("link.db", "hard.db", filled_path.name, f"sqlite:///{filled_path}"):
        refused(name, str(filled_path), str(filled_path), "are one database")
        refused(str(filled_path), name, "are one database")
    assert listing(tmp_path) == before


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
            refused(text, world.store.url, "are one database")
            refused(world.store.url, text, "are one database")
        file = sites.new("sqlite", "empty")
        merge(db.locate(others[2].render_as_string(hide_password=False)), file.store.database)
        (event,) = (row for row in file.dump()["events"] if row.event == "merge")
        assert "merger@" in event.detail
        assert "s3cret" not in repr(file.dump())
        execute(world.store.url, "DROP OWNED BY merger", "CREATE SCHEMA beside")
    beside = url.update_query_dict({"options": "-csearch_path=beside"})
    made = World(db.connect(beside.render_as_string(hide_password=False)))
    assert merged(world, made).tables["jobs"] == Counts(new=6)


SPOILT: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (Path.unlink, "no results at"),
    "text": (fill(b"bits per dim: 3.5\n" * 100), "not a SQLite database"),
    "other program": (other_program("CREATE TABLE trials (id INTEGER)"), "another program"),
    "damaged": (
        partial(overwrite, mode="delete", tables="'attempts'", most=2**20),
        "is damaged, as `lcma db check` shows; go back to a copy of it",
    ),
    "newer": (
        lambda path: foreign(path, "UPDATE lcma_alembic_version SET version_num = '0999'"),
        "does not know",
    ),
    "older": (lambda path: make_older(f"sqlite:///{path}"), "lcma db upgrade"),
    "unsound": (
        lambda path: foreign(path, "UPDATE jobs SET token = 0 WHERE trial_id = 'channel-0-None'"),
        "lcma db check",
    ),
    "bytes for a body": (
        lambda path: foreign(path, "UPDATE protocols SET body = x'00'"),
        "its body is blob, not text",
    ),
    "another number": (
        lambda path: foreign(path, "UPDATE measurements SET value = 1.5 WHERE value = 3.5"),
        "do not match their digest",
    ),
}
"""A few of the faults that test_checking.py has."""


@pytest.mark.parametrize("spoil", SPOILT)
def test_nothing_is_taken_from_what_is_no_sound_database(
    sites: Sites, tmp_path: Path, spoil: str
) -> None:
    source = Path(sites.new("sqlite", "filled").store.database.name)
    there = Path(sites.new("sqlite", "filled").store.database.name)
    change, words = SPOILT[spoil]
    change(source)
    before = listing(tmp_path)
    for target in (there, tmp_path / "x.db"):
        refused(str(source), str(target), str(source), words)
    if spoil in ("text", "other program", "newer"):  # a target of this kind is left alone too
        refused(str(there), str(source), str(source), words)
    assert listing(tmp_path) == before


def test_a_target_whose_disk_fills_up_stays_sound(
    sites: Sites, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target = sites.new("sqlite", "filled"), sites.new("sqlite", "empty")
    sweeps = tuple(db.Sweep(id=str(i), name="x" * 10_000, spec="{}") for i in range(500))
    source.store.register(db.Registration(sweeps=sweeps))
    path = Path(target.store.database.name)
    most = path.stat().st_size + 2_500_000

    def merge_until_full() -> str:
        # In another process, since the limit cannot be lifted again.
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        with pytest.raises(UserError) as caught:
            merge(db.locate(source.store.url), db.locate(target.store.url))
        return str(caught.value)

    message = run_in_fork(merge_until_full)
    assert capfd.readouterr() == ("", "")
    assert "\n" not in message
    assert str(path) in message
    assert "make room on its disk" in message
    assert "merge again to go on" in message
    assert check_integrity(target.store.database).findings == ()
    merged(source, target)
    assert known(target)["measurements"] == known(source)["measurements"]
