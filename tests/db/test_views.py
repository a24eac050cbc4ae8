"""The views, compared with plain Python over the rows of the tables, and between the engines."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_sqlite_scanner
import pytest
import scipy.stats
import sqlalchemy as sa

from lcma import db
from lcma.db.schema import metadata
from lcma.db.views import views
from lcma.harness.results.verdicts import read_efforts
from tests.db.conftest import COST, DATA, PRETRAINING, World, result, trial
from tests.db.inspecting import execute
from tests.db.sites import work

Row = dict[str, Any]
LOST_STATES = ("diverged", "failed")


@dataclass(frozen=True)
class Contents:
    """A filled database: the rows of its tables and views."""

    store: db.Store
    tables: dict[str, list[Row]]

    def view(self, name: str) -> list[Row]:
        return [row._asdict() for row in self.store.rows(db.select_view(name))]

    def by_id(self, table: str) -> dict[Any, Row]:
        return {row["id"]: row for row in self.tables[table]}

    def attempts(self, job_id: str, *, evaluations: bool = False) -> list[Row]:
        return [
            row
            for row in self.tables["attempts"]
            if row["job_id"] == job_id and (row["protocol"] is not None) == evaluations
        ]

    def segments(self, pretraining_id: str | None, budget: int) -> list[Row]:
        """Return the jobs of a pretraining up to a budget."""
        return [
            job
            for job in self.tables["jobs"]
            if job["pretraining_id"] == pretraining_id is not None and job["budget"] <= budget
        ]

    def chain(self, pretraining_id: str | None, budget: int) -> list[Row]:
        """Return the jobs that led a pretraining to a budget, the last one first."""
        for job in self.segments(pretraining_id, budget):
            if job["budget"] == budget:
                start = min(attempt["first_step"] for attempt in self.attempts(job["id"]))
                return [job, *self.chain(pretraining_id, start)] if start else [job]
        return []


@pytest.fixture(scope="module")
def stores(crowded: dict[str, str]) -> dict[str, db.Store]:
    """The same database on each engine."""
    return {name: db.connect(url, create=False) for name, url in crowded.items()}


@pytest.fixture(scope="module")
def full(stores: dict[str, db.Store]) -> Contents:
    """The contents of the file: the server has the same rows."""
    store = stores["sqlite"]
    tables = {
        table.name: [row._asdict() for row in store.rows(sa.select(table))]
        for table in metadata.sorted_tables
    }
    return Contents(store, tables)


def total(values: Iterator[float | None]) -> Any:
    """Return the sum, exact to a microsecond for each value; None without values."""
    known = [value for value in values if value is not None]
    return pytest.approx(math.fsum(known), abs=1e-6 * len(known)) if known else None


def keyed(rows: list[Row], *names: str) -> dict[Any, Row]:
    """Return rows by their values of some columns, which must differ."""
    by_key = {tuple(row[name] for name in names): row for row in rows}
    assert len(by_key) == len(rows)
    return by_key


@pytest.mark.parametrize("name", views.tables)
def test_both_engines_give_the_same_rows_to_the_last_bit(
    stores: dict[str, db.Store], name: str
) -> None:
    """Nulls and types are as declared."""
    rows, server_rows = (store.rows(db.select_view(name)) for store in stores.values())
    assert [row._asdict() for row in rows] == [row._asdict() for row in server_rows]
    assert rows
    assert [list(map(type, row)) for row in rows] == [list(map(type, row)) for row in server_rows]
    kinds = {sa.Text: str, sa.Integer: int, sa.BigInteger: int, sa.Double: float}
    for column, values in zip(views.tables[name].columns, zip(*rows, strict=True), strict=True):
        assert column.nullable or None not in values, column.name
        assert {type(v) for v in values if v is not None} <= {kinds[type(column.type)]}, column.name


def read_bits(full: Contents) -> list[Row]:
    """Return the bits/dim of current results, joined with their trials and protocols."""
    trials, protocols = full.by_id("flow_trials"), full.by_id("protocols")
    current = {job["done_attempt_id"]: job for job in full.tables["jobs"] if job["trial_id"]}
    rows = []
    for row in full.tables["measurements"]:
        if row["name"] == "bits_per_dim" and row["attempt_id"] in current:
            job = current[row["attempt_id"]]
            keys = {name: job[name] for name in ("trial_id", "data_digest")}
            keys["precision"] = protocols[row["protocol_id"]]["precision"]
            rows.append({**trials[job["trial_id"]], **keys, **row})
    return rows


CELL_COLUMNS = (
    *("flow", "dataset", "variant", "recipe_id", "data_digest", "precision", "factorization"),
    *("budget", "map_options"),
)


def by_cell(full: Contents) -> dict[Any, dict[int, Row]]:
    """Return the rows of the protocol 'plain' by seed of each cell without map options."""
    cells: dict[Any, dict[int, Row]] = {}
    for row in read_bits(full):
        if row["protocol"] == "plain" and row["map_options"] is None:
            cells.setdefault(tuple(row[name] for name in CELL_COLUMNS), {})[row["seed"]] = row
    return cells


def close(value: float) -> Any:
    return pytest.approx(value, abs=1e-12, rel=0)


def test_the_board_has_each_rule_beside_the_conventional_one(full: Contents) -> None:
    recipes, cells = full.by_id("recipes"), by_cell(full)
    rows = keyed(full.view("board"), *CELL_COLUMNS)
    assert rows.keys() == cells.keys()
    for key, results in cells.items():
        row = rows[key]
        recipe = recipes[row["recipe_id"]]
        names = ("profile", "splits", "size", "steps", "conventional")
        assert [row[name] for name in names] == [recipe[name] for name in names]
        values = [result["value"] for result in results.values()]
        assert row["mean"] == close(statistics.fmean(values))
        if len(values) > 1:
            assert row["deviation"] == close(statistics.stdev(values))
        conventional = cells.get((*key[:6], "channel", None, None), {})
        seeds = results.keys() & conventional.keys()
        differences = [results[seed]["value"] - conventional[seed]["value"] for seed in seeds]
        if row["factorization"] == "channel":
            assert row["n"] == len(values)
            assert row["difference"] is row["half_width"] is None
            continue
        n = len(differences)
        assert row["n"] == n
        assert row["difference"] == (close(statistics.fmean(differences)) if n else None)
        if n > 1:
            low, high = scipy.stats.t.interval(0.95, n - 1, 0, scipy.stats.sem(differences))
            assert row["half_width"] == close((high - low) / 2)
        else:
            assert row["half_width"] is None
    assert {row["n"] for row in rows.values()} == {1, 2, 3}


def finish_trials(world: World, bits_by_trial: dict[db.TrialRow, float]) -> None:
    """Plan further trials, and end each with a result."""
    jobs = world.plan_trials(*bits_by_trial)
    for job_id, (row, bits) in zip(jobs, bits_by_trial.items(), strict=True):
        world.finish(job_id, result=result(row.id, bits))


@pytest.mark.parametrize("values", [(3.5,), (3.5, 3.5), (-1e6, 2.0, 1e9), (1e-9, 3e-9, 1e-9)])
def test_the_board_takes_numbers_of_any_size(world: World, values: tuple[float, ...]) -> None:
    finish_trials(world, {trial("rows", seed): value for seed, value in enumerate(values)})
    (row,) = world.store.view("board", rule="rows").to_dict("records")
    assert row["mean"] == pytest.approx(statistics.fmean(values), rel=1e-14)
    if len(values) > 1:
        assert row["deviation"] == pytest.approx(statistics.stdev(values), rel=1e-14)
    assert row["n"] == 0
    assert row["difference"] != row["difference"]


def test_the_board_keeps_versions_of_a_plugins_rule_apart(world: World) -> None:
    for index in (2, 3):
        world.finish_trial(index)
    rules = "CASE factorization WHEN 'LLL' THEN '1' ELSE '2' END"
    execute(
        world.store.url,
        f"UPDATE flow_trials SET map_options = '{{\"rule\":\"sha256:' || {rules} || '\"}}', "
        "factorization = 'mine' WHERE budget IS NOT NULL",
    )
    assert list(world.store.view("board", rule="mine")["n"]) == [0, 0]


def test_the_board_knows_a_conventional_rule_of_a_plugin(world: World) -> None:
    bits = {("channel", 0): 3.0, ("channel", 1): 3.5, ("rows", 0): 3.25, ("rows", 1): 4.0}
    finish_trials(world, {trial(*key): value for key, value in bits.items()})

    def read_row(version: str) -> list[Any]:
        options = f"'{{\"rule\"\\:\"sha256\\:' || {version} || '\"}}'"
        conventional = "WHERE factorization = 'channel'"
        execute(world.store.url, f"UPDATE flow_trials SET map_options = {options} {conventional}")
        return list(world.store.view("board", rule="rows")[["n", "difference"]].iloc[0])

    assert read_row("'1'") == [2, 0.375]
    assert read_row("seed")[0] == 0


def is_paired(a: Row, b: Row) -> bool:
    """Return whether two trials differ only in the factorization, or only in the budget."""
    if a["factorization"] == b["factorization"]:
        names: tuple[str, ...] = ("map_options",)
        differ = a["budget"] != b["budget"]
    else:
        without = None in (a["budget"], b["budget"])
        names, differ = () if without else ("budget", "map_options"), True
    return differ and all(a[name] == b[name] for name in ("seed", "recipe_id", *names))


def test_pairs_differ_only_in_the_factorization_or_the_budget(full: Contents) -> None:
    expected = {}
    for a, b in itertools.permutations(read_bits(full), 2):
        alike = all(a[name] == b[name] for name in ("data_digest", "protocol", "precision"))
        if alike and is_paired(a, b):
            expected[a["attempt_id"], b["attempt_id"], a["protocol"]] = (a, b)
    pairs = [row for row in full.view("pairs") if row["measure"] == "bits_per_dim"]
    rows = keyed(pairs, "attempt_id", "other_attempt_id", "protocol")
    assert rows.keys() == expected.keys()
    for key, (a, b) in expected.items():
        row = rows[key]
        assert row["difference"] == a["value"] - b["value"]
        for name in ("value", "factorization", "budget", "map_options"):
            assert row[f"other_{name}"] == b[name]
        assert [row[name] for name in ("seed", "trial_id")] == [a["seed"], a["trial_id"]]
    options = {(row["map_options"], row["other_map_options"]) for row in pairs}
    assert options == {(None, None), ('{"score":"total"}', None), (None, '{"score":"total"}')}
    rules = {(r["rule"], r["budget"], r["other_rule"], r["other_budget"]) for r in pairs}
    assert {("channel", None, "low", 100), ("low", 200, "low", 100)} <= rules
    ranked = {row["name"] for row in full.tables["measure_kinds"] if row["direction"]}
    assert {row["measure"] for row in full.view("pairs")} <= ranked


def test_a_word_is_paired_with_a_rule_of_the_data(world: World) -> None:
    """Its budget of 0 was not chosen, so it does not have to match."""
    of_data = dataclasses.replace(PRETRAINING, id="of data", flow="data", nms="data")
    rule = dataclasses.replace(trial("variance-low", 0, 0), pretraining_id="of data")
    world.store.register(db.Registration(pretrainings=(of_data,)))
    finish_trials(world, {rule: 3.0, trial("HHL", 0, 0): 3.0})
    world.finish_trial(2, bits_per_dim=3.25)
    pairs = world.store.view("pairs", rule="low", measure="bits_per_dim")
    assert list(pairs["other_rule"]) == ["variance-low"]
    assert list(pairs["difference"]) == [0.25]
    assert len(world.store.view("pairs", rule="variance-low", other_rule=["low", "HHL"])) == 4


@pytest.mark.parametrize("name", ["results", "measures", "costs", "maps", "coverage"])
def test_low_and_high_are_found_by_these_names(full: Contents, name: str) -> None:
    rules = {(row["rule"], row["factorization"]) for row in full.view(name)}
    assert {("low", "LLL"), ("high", "HHH")} <= rules
    assert all(rule == word for rule, word in rules if rule not in ("low", "high"))


def test_coverage_counts_every_trial_once(full: Contents) -> None:
    jobs = {job["trial_id"]: job for job in full.tables["jobs"] if job["trial_id"] is not None}
    expected: dict[Any, dict[str, int]] = {}
    for member in full.tables["sweep_trials"]:
        trial = full.by_id("flow_trials")[member["trial_id"]]
        job = jobs[trial["id"]]
        lost = trial["budget"] and any(
            segment["state"] in LOST_STATES
            for segment in full.segments(trial["pretraining_id"], trial["budget"])
        )
        state = "blocked" if job["state"] == "pending" and lost else job["state"]
        key = (member["sweep_id"], member["factorization"], trial["factorization"])
        counts = expected.setdefault((*key, trial["budget"], trial["map_options"]), {})
        for name in ("planned", state):
            counts[name] = counts.get(name, 0) + 1
    keys = ("sweep_id", "asked", "factorization", "budget", "map_options")
    rows = keyed(full.view("coverage"), *keys)
    assert rows.keys() == expected.keys()
    states = ("planned", "done", "running", "pending", "blocked", "diverged", "failed")
    for key, counts in expected.items():
        row = rows[key]
        assert [row[name] for name in states] == [counts.get(name, 0) for name in states]
        assert sum(row[name] for name in states[1:]) == row["planned"]
        assert (row["why"] is None) == (row["done"] == row["planned"])


def test_coverage_says_why(full: Contents) -> None:
    whys = {
        (row["asked"], row["budget"], row["map_options"]): row["why"]
        for row in full.view("coverage")
    }
    lost = "its pretraining diverged at budget 200: diverged: the loss is nan"
    assert whys == {
        ("channel", None, None): None,
        ("conventional", None, None): None,
        ("random", None, None): 'code_error: KeyError: "a\\b"',
        ("low", 100, None): None,
        ("low", 200, None): lost,
        ("low", 200, '{"score":"total"}'): lost,
        ("HHH", 100, None): None,
        ("high", 100, None): None,
        ("HHH", 100, '{"score":"total"}'): None,
        ("high", 100, '{"score":"total"}'): None,
        ("HHH", 200, None): "oom: no memory",
        ("high", 200, None): "oom: no memory",
        ("none", None, None): None,
        ("LLH", None, None): "not started",
    }


def test_coverage_says_why_at_each_stage_of_a_trial(world: Any) -> None:
    """The trial of the sweep waits for the first segment of its pretraining."""

    def why() -> Any:
        return world.store.view("coverage", asked="low")["why"].item()

    assert why() == "waits for its pretraining"
    world.claim(world.segments[0], lease=4e9)
    assert why() == "waits for its pretraining"
    world.store.release("me")
    world.finish_segment(0)
    assert why() == "not started"
    claim = world.win(world.trials[2])
    assert why() == "running on node1"
    world.store.finish(claim, "preempted", last_step=3, cost=COST, message="by its queue")
    assert why() == "to be run again after preempted: by its queue"
    world.finish_trial(2)
    assert why() is None


def test_failures_have_the_last_attempt(full: Contents) -> None:
    rows = keyed(full.view("failures"), "job_id")
    lost = {job["id"]: job for job in full.tables["jobs"] if job["state"] in LOST_STATES}
    assert {key for (key,) in rows} == set(lost)
    assert {row["kind"] for row in rows.values()} == {"pretraining", "trial"}
    for (job_id,), row in rows.items():
        attempt = max(full.attempts(job_id), key=lambda a: a["token"])
        names = ("outcome", "message", "owner", "host", "device", "devices", "started", "ended")
        assert [row[name] for name in names] == [attempt[name] for name in names]
        assert row["step"] == attempt["last_step"]
        subject = full.by_id("flow_trials").get(row["trial_id"])
        subject = subject or full.by_id("pretrainings")[row["pretraining_id"]]
        names = ("flow", "dataset", "variant", "seed", "recipe_id")
        assert [row[name] for name in names] == [subject[name] for name in names]
        assert row["factorization"] == subject.get("factorization")
        assert row["budget"] == (subject.get("budget") or lost[job_id]["budget"])


def test_costs_count_every_attempt_and_the_whole_pretraining(full: Contents) -> None:
    rows = keyed(full.view("costs"), "job_id")
    jobs = {job["id"]: job for job in full.tables["jobs"] if job["kind"] == "trial"}
    assert {key for (key,) in rows} == set(jobs)
    for job_id, job in jobs.items():
        row, trial = rows[job_id,], full.by_id("flow_trials")[job["trial_id"]]
        attempts, evaluations = full.attempts(job_id), full.attempts(job_id, evaluations=True)
        pretraining = [
            attempt
            for segment in full.chain(trial["pretraining_id"], trial["budget"] or 0)
            for attempt in full.attempts(segment["id"])
        ]
        for kind in ("seconds", "cpu_seconds", "gpu_seconds"):
            spent = total(attempt[kind] for attempt in attempts)
            assert row[kind] == spent
            assert row[f"pretraining_{kind}"] == total(attempt[kind] for attempt in pretraining)
            whole = total(attempt[kind] for attempt in (*attempts, *pretraining))
            assert row[f"total_{kind}"] == (None if spent is None else whole)
        assert row["evaluation_seconds"] == total(attempt["seconds"] for attempt in evaluations)
        assert row["attempts"] == len(attempts)
        unreported = [a for a in attempts if a["ended"] is not None and a["seconds"] is None]
        assert row["unreported"] == len(unreported)
        for name in ("peak_memory", "data_wait"):
            values = [attempt[name] for attempt in attempts if attempt[name] is not None]
            assert row[name] == max(values, default=None)
        last = max(attempts, key=lambda a: a["token"], default={"images_per_second": None})
        assert row["images_per_second"] == last["images_per_second"]
    assert any(row["unreported"] and row["attempts"] == 3 for row in rows.values())
    assert any(row["total_gpu_seconds"] is not None for row in rows.values())


def test_efforts_have_the_pretraining_of_the_costs(full: Contents) -> None:
    facts = ("recipe_id", "data_digest", "factorization", "budget", "map_options", "seed")
    rows = keyed([row for row in full.view("costs") if row["attempts"]], *facts)
    efforts = read_efforts(full.store, list(full.by_id("recipes")))
    seconds = {
        tuple(getattr(effort, name) for name in facts): effort.pretraining_cpu_seconds
        for effort in efforts
    }
    expected = {key: row["pretraining_cpu_seconds"] for key, row in rows.items()}
    assert seconds == pytest.approx(expected, rel=1e-6)
    assert any(expected.values())


def test_budgets_are_the_rows_of_the_board_that_use_maps(full: Contents) -> None:
    board = keyed([row for row in full.view("board") if row["budget"] is not None], *CELL_COLUMNS)
    rows = keyed(full.view("budgets"), *CELL_COLUMNS)
    assert rows.keys() == board.keys()
    for key, row in rows.items():
        assert all(row[name] == board[key][name] for name in row.keys() & board[key].keys())
        results = by_cell(full)[key].values()
        seconds = [
            attempt["seconds"]
            for result in results
            for segment in full.chain(result["pretraining_id"], row["budget"])
            for attempt in full.attempts(segment["id"])
        ]
        spent = math.fsum(seconds) / len(results)
        assert row["pretraining_seconds"] == pytest.approx(spent, abs=1e-6 * len(seconds))
        trials = {result["trial_id"] for result in results}
        tables = [table for table in full.tables["index_tables"] if table["trial_id"] in trials]
        for name in ("mask_share", "mask_share_by_chance"):
            mean = statistics.fmean(table[name] for table in tables)
            assert row[name] == pytest.approx(mean, abs=1e-11)


def test_maps_have_each_split_beside_the_map_that_it_read(full: Contents) -> None:
    rows = keyed(full.view("maps"), "trial_id", "split")
    current = {job["done_attempt_id"] for job in full.tables["jobs"]}
    tables = [table for table in full.tables["index_tables"] if table["attempt_id"] in current]
    assert rows.keys() == {(table["trial_id"], table["split"]) for table in tables}
    keys = ("pretraining_id", "budget", "split")
    maps = {tuple(item[key] for key in keys): item for item in full.tables["contribution_maps"]}
    for table in tables:
        row = rows[table["trial_id"], table["split"]]
        assert all(row[name] == table[name] for name in ("purity", "mask_share", "digest"))
        item = maps[tuple(row[key] for key in keys)]
        by_total = row["map_options"] is not None  # no map was taken by this score
        assert row["map_digest"] == (None if by_total else item["digest"])
        assert row["rank_gap"] == (None if by_total else item["rank_gap"])


def test_curves_are_those_of_current_results(full: Contents) -> None:
    rows = full.view("curves")
    done = {job["id"] for job in full.tables["jobs"] if job["state"] == "done"}
    assert {row["job_id"] for row in rows} == {i for i in done if full.by_id("jobs")[i]["trial_id"]}
    points = keyed(rows, "trial_id", "curve", "step")
    steps = [step for trial, curve, step in points if trial == "photos16 LLL 100 None 0"]
    assert sorted(steps) == list(range(10, 501, 10))
    assert {row["value"] for row in rows} == {4.0}


@pytest.mark.integration
def test_duckdb_reads_every_view_of_the_file(full: Contents) -> None:
    path = full.store.database.name
    (extension,) = Path(duckdb_extension_sqlite_scanner.__file__).parent.glob(
        f"**/v{duckdb.__version__}/*.duckdb_extension"
    )
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{path}' AS lcma (TYPE sqlite, READ_ONLY)")
        for name in views.tables:
            rows = connection.execute(f"SELECT * FROM lcma.{name}").fetchall()
            assert len(rows) == len(full.view(name)), name


def test_a_lost_segment_blocks_only_the_trials_of_sweeps_that_continue_it(world: World) -> None:
    store, longer = world.store, trial("LLL", 0, 200)
    world.plan_trials(longer)
    sweeps = (db.Sweep(id="long", name="long", spec="{}"),)
    members = tuple(db.SweepMember(sweep_id, longer.id, "low") for sweep_id in ("s", "long"))
    store.register(db.Registration(sweeps=sweeps, members=members))

    def blocked() -> dict[tuple[str, int], int]:
        rows = store.view("coverage").to_dict("records")
        return {(r["sweep"], r["budget"]): r["blocked"] for r in rows if r["asked"] == "low"}

    passing = db.PlannedJob.of_pretraining("p", DATA.digest, budget=50)  # that no trial reads
    store.register(db.Registration(jobs=(passing,)))
    assert store.finish(world.win(passing.id), "diverged", last_step=9, cost=COST, now=1001.0)
    assert blocked() == {("demo", 100): 1, ("demo", 200): 1, ("long", 200): 1}
    assert store.retry([passing.id], now=1002.0)
    maps = [world.contribution_map(split, 50) for split in (1, 2)]
    world.finish(passing.id, maps=maps, last_step=50)
    work(world, world.segments[0], "diverged", "me")
    assert blocked() == {("demo", 100): 1, ("demo", 200): 1, ("long", 200): 0}
    work(world, world.segments[1], "done", "me")
    assert blocked() == {("demo", 100): 1, ("demo", 200): 0, ("long", 200): 0}
