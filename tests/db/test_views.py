"""The views, held against plain Python over the rows of the tables, and one engine's against the
other's."""

import itertools
import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import duckdb_extension_sqlite_scanner
import pytest
import scipy.stats
import sqlalchemy as sa

from lcma import db
from lcma.db.relations import find_relations
from lcma.db.schema import metadata
from lcma.db.views import views
from lcma.sweeps import published
from tests.db import crowd
from tests.db.conftest import COST, DATA, World, trial
from tests.db.crowd import FACES, OF_FACES
from tests.db.inspecting import execute, is_current
from tests.db.sites import work

Row = dict[str, Any]
LOST = ("diverged", "failed")


@dataclass(frozen=True)
class Told:
    """A filled database: rows of its tables, and what its views say."""

    store: db.Store
    tables: dict[str, list[Row]]

    def view(self, name: str) -> list[Row]:
        query = sa.select(views.tables[name])
        with sa.create_engine(self.store.url, poolclass=sa.NullPool).connect() as connection:
            found = connection.execute(query)
            return [dict(row._mapping) for row in found]

    def by_id(self, table: str) -> dict[Any, Row]:
        return {row["id"]: row for row in self.tables[table]}

    def attempts(self, job_id: str, *, evaluations: bool = False) -> list[Row]:
        return [
            row
            for row in self.tables["attempts"]
            if row["job_id"] == job_id and (row["protocol"] is not None) == evaluations
        ]

    def segments(self, pretraining_id: str | None, budget: int) -> list[Row]:
        """The jobs of a pretraining up to a budget."""
        return [
            job
            for job in self.tables["jobs"]
            if job["pretraining_id"] == pretraining_id is not None and job["budget"] <= budget
        ]

    def chain(self, pretraining_id: str | None, budget: int) -> list[Row]:
        """The jobs that led a pretraining to a budget, the last one first."""
        found = [s for s in self.segments(pretraining_id, budget) if s["budget"] == budget]
        for job in found:
            start = min(attempt["first_step"] for attempt in self.attempts(job["id"]))
            return [job, *self.chain(pretraining_id, start)] if start else [job]
        return []


def told(store: db.Store) -> Told:
    with sa.create_engine(store.url, poolclass=sa.NullPool).connect() as connection:
        tables = {
            table.name: [dict(row._mapping) for row in connection.execute(sa.select(table))]
            for table in metadata.sorted_tables
        }
    return Told(store, tables)


@pytest.fixture(scope="module")
def both(crowded: dict[str, str]) -> dict[str, Told]:
    """The same done on each engine."""
    return {name: told(db.connect(url, create=False)) for name, url in crowded.items()}


@pytest.fixture
def full(both: dict[str, Told]) -> Told:
    """One of them: both say the same."""
    return both["sqlite"]


def total(values: Iterator[float | None]) -> Any:
    """The sum, to a microsecond for each value; None for none."""
    known = [value for value in values if value is not None]
    return pytest.approx(math.fsum(known), abs=1e-6 * len(known)) if known else None


def keyed(rows: list[Row], *names: str) -> dict[Any, Row]:
    """Rows by what tells them apart."""
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("name", views.tables)
def test_both_engines_give_the_same_rows_to_the_last_bit(both: dict[str, Told], name: str) -> None:
    """With columns that are null and of the types as declared."""
    left, right = (one.store.view_rows(name) for one in both.values())
    assert left.columns == right.columns
    assert left.rows == right.rows
    assert left.rows
    assert [list(map(type, row)) for row in left.rows] == [list(map(type, r)) for r in right.rows]
    kinds = {sa.Text: str, sa.Integer: int, sa.BigInteger: int, sa.Double: float}
    for column, values in zip(
        views.tables[name].columns, zip(*left.rows, strict=True), strict=True
    ):
        assert column.nullable or None not in values, column.name
        assert {type(v) for v in values if v is not None} <= {kinds[type(column.type)]}, column.name


def measured(full: Told, *names: str) -> list[Row]:
    """The measures of current results, with what their trial, result and protocol say."""
    trials, results = full.by_id("flow_trials"), full.by_id("results")
    protocols = full.by_id("protocols")
    current = {job["done_attempt_id"] for job in full.tables["jobs"]}
    return [
        {
            **trials[results[row["result_id"]]["trial_id"]],
            **results[row["result_id"]],
            "precision": protocols[row["protocol_id"]]["precision"],
            "measure": row["name"],
            **row,
        }
        for row in full.tables["measures"]
        if row["name"] in names and results[row["result_id"]]["attempt_id"] in current
    ]


def test_seed_statistics_sum_up_the_measures_that_are_ranked(full: Told) -> None:
    recipes = full.by_id("recipes")
    own = (
        *("flow", "profile", "dataset", "variant", "recipe_id", "factorization", "budget"),
        *("map_options", "data_digest", "protocol", "precision", "measure"),
    )
    by_cell: dict[Any, list[Row]] = {}
    for row in measured(full, "bits_per_dim", "holdout_bits_per_dim"):
        by_cell.setdefault(tuple(row[name] for name in own), []).append(row)
    found = keyed(full.view("seed_statistics"), *own)
    assert found.keys() == by_cell.keys()
    for key, results in by_cell.items():
        row = found[key]
        values = [r["value"] for r in results]
        assert row["n"] == len(values)
        assert (row["least"], row["greatest"]) == (min(values), max(values))
        mean = math.fsum(values) / len(values)
        assert row["mean"] == mean
        expected = math.fsum((value - mean) ** 2 for value in values)
        assert row["squared_deviations"] == expected
        assert expected == pytest.approx(statistics.pvariance(values) * len(values))
        if len(values) == 1:
            assert row["deviation"] is row["standard_error"] is row["half_width"] is None
        elif min(values) < max(values):
            low, high = scipy.stats.t.interval(0.95, len(values) - 1, mean, scipy.stats.sem(values))
            assert row["half_width"] == pytest.approx((high - low) / 2)
        recipe = recipes[row["recipe_id"]]
        assert all(row[name] == recipe[name] for name in ("splits", "size", "steps"))
        assert {r["cell_id"] for r in results} == {row["cell_id"]}
    assert max(len(results) for results in by_cell.values()) == 3


def test_results_are_comparable_where_data_protocol_and_precision_agree(full: Told) -> None:
    rows = full.view("trial_results")
    for one, other in itertools.product(rows, rows):
        same = ("dataset", "variant", "data_digest", "protocol", "precision")
        alike = all(one[name] == other[name] for name in same)
        assert (one["comparable"] == other["comparable"]) == alike
    assert {row["protocol"] for row in rows} == {"plain", "published"}


def test_the_leaderboard_ranks_within_what_can_be_compared(full: Told) -> None:
    cells = full.view("seed_statistics")
    rows = keyed(full.view("leaderboard"), "cell_id")
    assert len(rows) == len(cells)
    for cell in cells:
        row = rows[cell["cell_id"],]
        near = [
            other
            for other in cells
            if (other["comparable"], other["recipe_id"]) == (cell["comparable"], cell["recipe_id"])
        ]
        usual = [other["mean"] for other in near if other["factorization"] == "channel"]
        assert row["position"] == 1 + sum(other["mean"] < cell["mean"] for other in near)
        assert row["from_best"] == cell["mean"] - min(other["mean"] for other in near)
        assert row["conventional"] == "channel"
        assert row["from_conventional"] == (cell["mean"] - usual[0] if usual else None)
        assert all(row[name] == cell[name] for name in row.keys() & cell.keys())
    assert max(row["position"] for row in rows.values()) == 6


def test_equal_means_share_a_position_and_the_best_comes_first(world: Any) -> None:
    for index, bits in ((0, 3.5), (2, 3.5), (3, 3.75)):
        world.finish_trial(index, bits_per_dim=bits)
    board = world.store.leaderboard(measure="bits_per_dim")
    places = board.set_index("factorization")["position"].to_dict()
    assert places == {"channel": 1, "LLL": 1, "HHH": 3}
    # Whatever is asked for, a position is among all that can be compared.
    few = world.store.leaderboard(measure="bits_per_dim", factorization="HHH")
    assert list(few["position"]) == [3]
    execute(
        world.store.url, "UPDATE measure_kinds SET direction = 'higher' WHERE name = 'bits_per_dim'"
    )
    board = world.store.leaderboard(measure="bits_per_dim").set_index("factorization")
    assert board["position"].to_dict() == {"HHH": 1, "channel": 2, "LLL": 2}
    assert board["from_best"].to_dict() == {"HHH": 0.0, "channel": -0.25, "LLL": -0.25}
    assert board["from_conventional"].to_dict() == {"HHH": 0.25, "channel": 0.0, "LLL": 0.0}


def test_pairs_differ_in_the_factorization_alone(full: Told) -> None:
    trials = full.by_id("flow_trials")
    expected = {}
    for one, other in itertools.permutations(measured(full, "bits_per_dim"), 2):
        a, b = trials[one["trial_id"]], trials[other["trial_id"]]
        maps = ("budget", "map_options")
        if (
            a["factorization"] != b["factorization"]
            and a["seed"] == b["seed"]
            and a["recipe_id"] == b["recipe_id"]
            and all(one[n] == other[n] for n in ("data_digest", "protocol", "precision"))
            and (None in (a["budget"], b["budget"]) or all(a[name] == b[name] for name in maps))
        ):
            key = (one["result_id"], other["result_id"], one["protocol"])
            expected[key] = (a, b, one, other)
    pairs = [row for row in full.view("pairs") if row["measure"] == "bits_per_dim"]
    found = keyed(pairs, "result_id", "other_result_id", "protocol")
    assert found.keys() == expected.keys()
    for key, (a, b, one, other) in expected.items():
        row = found[key]
        assert row["difference"] == one["value"] - other["value"]
        assert row["other_value"] == other["value"]
        told = [row[f"other_{name}"] for name in ("factorization", "budget", "map_options")]
        assert told == [b["factorization"], b["budget"], b["map_options"]]
        assert [row[name] for name in ("seed", "trial_id")] == [a["seed"], a["id"]]
        assert (row["cell_id"], row["other_cell_id"]) == (one["cell_id"], other["cell_id"])
    options = {(r["map_options"], r["other_map_options"]) for r in found.values()}
    assert options == {(None, None), ('{"score":"total"}', None), (None, '{"score":"total"}')}
    words = {("channel", "LLL"), ("LLL", "channel")}
    assert words <= {(r["factorization"], r["other_factorization"]) for r in found.values()}


def test_coverage_counts_every_trial_once(full: Told) -> None:
    jobs = {job["trial_id"]: job for job in full.tables["jobs"] if job["trial_id"] is not None}
    expected: dict[Any, dict[str, int]] = {}
    for member in full.tables["sweep_trials"]:
        trial = full.by_id("flow_trials")[member["trial_id"]]
        job = jobs[trial["id"]]
        lost = trial["budget"] and any(
            segment["state"] in LOST
            for segment in full.segments(trial["pretraining_id"], trial["budget"])
        )
        state = "blocked" if job["state"] == "pending" and lost else job["state"]
        key = (member["sweep_id"], member["factorization"], trial["factorization"])
        counts = expected.setdefault((*key, trial["budget"], trial["map_options"]), {})
        for name in ("planned", state):
            counts[name] = counts.get(name, 0) + 1
    found = keyed(
        full.view("coverage"), "sweep_id", "asked", "factorization", "budget", "map_options"
    )
    assert found.keys() == expected.keys()
    states = ("planned", "done", "running", "pending", "blocked", "diverged", "failed")
    for key, counts in expected.items():
        assert {name: found[key][name] for name in states} == {n: counts.get(n, 0) for n in states}
        assert sum(found[key][name] for name in states[1:]) == found[key]["planned"]
        assert (found[key]["why"] is None) == (found[key]["done"] == found[key]["planned"])


def test_coverage_says_why(full: Told) -> None:
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


def test_coverage_says_why_one_thing_after_the_other(world: Any) -> None:
    """The word of the sweep waits for the first segment of its pretraining."""

    def why() -> Any:
        (found,) = world.store.coverage(asked="low")["why"]
        return found

    assert why() == "waits for its pretraining"
    world.claim(world.segments[0], lease=4e9)
    assert why() == "waits for its pretraining"
    world.store.release("me")
    world.finish_segment(0)
    assert why() == "not started"
    claim = world.win(world.trials[2])
    assert why() == "running on node1"
    cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
    world.store.finish(claim, "preempted", last_step=3, cost=cost, message="by its queue")
    assert why() == "to be run again after preempted: by its queue"
    world.finish_trial(2)
    assert why() is None


def test_failures_have_the_last_attempt(full: Told) -> None:
    rows = keyed(full.view("failures"), "job_id")
    lost = {job["id"]: job for job in full.tables["jobs"] if job["state"] in LOST}
    assert {key for (key,) in rows} == set(lost)
    assert {row["kind"] for row in rows.values()} == {"pretraining", "trial"}
    for (job_id,), row in rows.items():
        attempt = max(full.attempts(job_id), key=lambda a: a["token"])
        own = ("outcome", "message", "owner", "host", "device", "devices", "started", "ended")
        assert [row[name] for name in own] == [attempt[name] for name in own]
        assert row["step"] == attempt["last_step"]
        subject = full.by_id("flow_trials").get(row["trial_id"])
        subject = subject or full.by_id("pretrainings")[row["pretraining_id"]]
        names = ("flow", "dataset", "variant", "seed", "recipe_id")
        assert [row[name] for name in names] == [subject[name] for name in names]
        assert row["factorization"] == subject.get("factorization")
        assert row["budget"] == (subject.get("budget") or lost[job_id]["budget"])


def test_costs_count_every_attempt_and_the_whole_pretraining(full: Told) -> None:
    rows = keyed(full.view("costs"), "job_id")
    jobs = {job["id"]: job for job in full.tables["jobs"] if job["kind"] == "trial"}
    assert {key for (key,) in rows} == set(jobs)
    for job_id, job in jobs.items():
        row, trial = rows[job_id,], full.by_id("flow_trials")[job["trial_id"]]
        own, other = full.attempts(job_id), full.attempts(job_id, evaluations=True)
        before = [
            attempt
            for segment in full.chain(trial["pretraining_id"], trial["budget"] or 0)
            for attempt in full.attempts(segment["id"])
        ]
        for kind in ("seconds", "cpu_seconds", "gpu_seconds"):
            spent, shared = (total(a[kind] for a in some) for some in (own, before))
            assert row[kind] == spent
            assert row[f"pretraining_{kind}"] == shared
            both = [a[kind] for a in (*own, *before) if a[kind] is not None]
            assert row[f"total_{kind}"] == (None if spent is None else total(iter(both)))
        assert row["evaluation_seconds"] == total(a["seconds"] for a in other)
        assert row["attempts"] == len(own)
        assert row["unreported"] == sum(
            a["ended"] is not None and a["seconds"] is None for a in own
        )
        for name in ("peak_memory", "data_wait"):
            known = [a[name] for a in own if a[name] is not None]
            assert row[name] == max(known, default=None)
        last = max(own, key=lambda a: a["token"], default={"images_per_second": None})
        assert row["images_per_second"] == last["images_per_second"]
    assert any(row["unreported"] and row["attempts"] == 3 for row in rows.values())
    assert any(row["total_gpu_seconds"] is not None for row in rows.values())


def test_efforts_have_the_pretraining_of_the_costs(full: Told) -> None:
    facts = ("recipe_id", "data_digest", "factorization", "budget", "map_options", "seed")
    rows = keyed([row for row in full.view("costs") if row["attempts"]], *facts)
    recipes = [row["id"] for row in full.tables["recipes"]]
    efforts = full.store.trial_efforts(recipes)
    found = {tuple(getattr(one, name) for name in facts): one for one in efforts}
    assert found.keys() == rows.keys()
    shared = {key: row["pretraining_cpu_seconds"] for key, row in rows.items()}
    own = {key: one.pretraining_cpu_seconds for key, one in found.items()}
    assert own == pytest.approx(shared, rel=1e-6)
    assert any(shared.values())


def test_snapshots_are_the_segments_of_pretrainings(full: Told) -> None:
    rows = keyed(full.view("snapshots"), "pretraining_id", "budget")
    segments = [job for job in full.tables["jobs"] if job["kind"] == "pretraining"]
    assert len(rows) == len(segments) == 6
    for job in segments:
        row = rows[job["pretraining_id"], job["budget"]]
        own = full.attempts(job["id"])
        assert (row["state"], row["step"], row["attempts"]) == (job["state"], job["step"], len(own))
        assert row["seconds"] == total(a["seconds"] for a in own)
        assert row["total_seconds"] == total(
            a["seconds"]
            for segment in full.chain(job["pretraining_id"], job["budget"])
            for a in full.attempts(segment["id"])
        )
        maps = [
            m
            for m in full.tables["contribution_maps"]
            if (m["pretraining_id"], m["budget"]) == (job["pretraining_id"], job["budget"])
        ]
        assert row["maps"] == len(maps) == (2 if job["state"] == "done" else 0)
        kept = ("node1:/runs", "c", 5, "a" * 64) if job["budget"] == 100 else (None,) * 4
        assert tuple(row[name] for name in ("place", "path", "bytes", "digest")) == kept


def test_the_budget_curve_stands_beside_the_conventional_row(full: Told) -> None:
    cells = [row for row in full.view("seed_statistics") if row["budget"] is not None]
    rows = keyed(full.view("budget_curve"), "cell_id")
    assert len(rows) == len(cells)
    trials = full.by_id("flow_trials")
    for cell in cells:
        row = rows[cell["cell_id"],]
        assert all(row[name] == cell[name] for name in row.keys() & cell.keys())
        results = [r for r in measured(full, cell["measure"]) if r["cell_id"] == cell["cell_id"]]
        seconds = [
            attempt["seconds"]
            for result in results
            for segment in full.chain(trials[result["trial_id"]]["pretraining_id"], row["budget"])
            for attempt in full.attempts(segment["id"])
        ]
        spent = math.fsum(seconds) / len(results)
        assert row["pretraining_seconds"] == pytest.approx(spent, abs=1e-6 * len(seconds))
        tables = [
            table
            for result in results
            for table in full.tables["index_tables"]
            if table["trial_id"] == result["trial_id"]
        ]
        for name in ("mask_share", "mask_share_by_chance"):
            mean = statistics.fmean(table[name] for table in tables)
            assert row[name] == pytest.approx(mean, abs=1e-11)
        usual = [
            other
            for other in full.view("seed_statistics")
            if (other["comparable"], other["recipe_id"], other["factorization"])
            == (cell["comparable"], cell["recipe_id"], "channel")
        ]
        assert row["from_conventional"] == cell["mean"] - usual[0]["mean"]
        assert row["conventional_n"] == usual[0]["n"]
        assert row["conventional_squared_deviations"] == usual[0]["squared_deviations"]


def test_against_the_paper_stands_what_it_prints_of_the_same_thing(full: Told) -> None:
    rows = full.view("against_paper")
    expected = {
        ("channel", n.factorization, n.source, n.table, n.bits_per_dim)
        for n in published.numbers()
        if (n.flow, n.dataset, n.factorization) == ("realnvp", "celeba64-float", "conventional")
    }
    names = ("factorization", "printed_as", "source", "source_table", "printed")
    assert {tuple(row[name] for name in names) for row in rows} == expected
    assert len(expected) == 2
    for row in rows:
        assert (row["dataset"], row["variant"], row["profile"]) == ("celeba64", "float", "paper")
        assert row["paper_profile"] == 1
        assert row["difference"] == row["mean"] - row["printed"]
        assert row["n"] == 2


@pytest.mark.parametrize(("factorization", "names"), [("LLL", {"low", "LLL"}), ("HHL", {"HHL"})])
def test_a_word_stands_beside_every_name_of_it(
    path: Path, factorization: str, names: set[str]
) -> None:
    store = db.connect(str(path), create=False)
    crowd.fill(store)
    trial = OF_FACES[3]
    execute(
        store.url,
        f"UPDATE flow_trials SET factorization = '{factorization}' WHERE id = '{trial.id}'",
    )
    crowd.Crowd(store).done(trial)
    rows = store.view("against_paper", factorization=factorization)
    assert set(rows["printed_as"]) == names
    of_bits = {"measure": "bits_per_dim", "data_digest": FACES.digest}
    assert set(rows["cell_id"]) == set(
        store.leaderboard(factorization=factorization, **of_bits)["cell_id"]
    )


def test_the_dictionary_and_comments_tell_every_view(both: dict[str, Told]) -> None:
    expected = {
        (relation.name, column.name): column.meaning
        for relation in find_relations()
        for column in relation.columns
    }
    for one in both.values():
        rows = one.tables["dictionary"]
        assert {(r["relation"], r["column"]): r["meaning"] for r in rows if r["column"]} == expected
        assert is_current(one.store.url)
    url = both["postgresql"].store.url
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        comments = connection.exec_driver_sql(
            "SELECT c.relname, a.attname, col_description(c.oid, a.attnum), "
            "obj_description(c.oid, 'pg_class') FROM pg_class AS c "
            "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace"
        ).all()
    of_views = {key: meaning for key, meaning in expected.items() if key[0] in views.tables}
    assert {(view, column): said for view, column, said, _ in comments} == of_views
    assert {view: said for view, *_, said in comments} == {
        name: view.comment for name, view in views.tables.items()
    }


@pytest.mark.integration
def test_duckdb_reads_every_view_of_the_file(both: dict[str, Told]) -> None:
    path = both["sqlite"].store.database.name
    (extension,) = Path(duckdb_extension_sqlite_scanner.__file__).parent.glob(
        f"**/v{duckdb.__version__}/*.duckdb_extension"
    )
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{path}' AS lcma (TYPE sqlite, READ_ONLY)")
        for name in views.tables:
            found = connection.execute(f"SELECT * FROM lcma.{name}").fetchall()
            assert len(found) == len(both["sqlite"].view(name)), name


def test_a_lost_segment_blocks_only_what_its_sweep_would_continue_from_it(
    new_url: Callable[[Any], str],
) -> None:
    store = db.connect(new_url("planned"), create=False)
    world = World(store)
    long = trial("LLL", 0, 200)
    store.register(
        db.Registration(
            sweeps=(db.Sweep(id="long", name="long", spec="{}"),),
            members=(db.SweepMember("s", long.id, "low"), db.SweepMember("long", long.id, "low")),
            trials=(long,),
            jobs=(db.PlannedJob.of_trial(long.id, DATA.digest, steps=500),),
        )
    )

    def blocked() -> dict[tuple[str, int], int]:
        rows = store.view("coverage").to_dict("records")
        return {(r["sweep"], r["budget"]): r["blocked"] for r in rows if r["asked"] == "low"}

    passing = db.PlannedJob.of_pretraining("p", DATA.digest, budget=50)  # that no trial reads
    store.register(db.Registration(jobs=(passing,)))
    assert store.finish(world.win(passing.id), "diverged", last_step=9, cost=COST, now=1001.0)
    assert blocked() == {("demo", 100): 1, ("demo", 200): 1, ("long", 200): 1}
    assert store.retry([passing.id], now=1002.0)
    assert store.finish(
        world.win(passing.id, now=1003.0),
        "done",
        maps=[world.contribution_map(split, 50) for split in (1, 2)],
        last_step=50,
        cost=COST,
        now=1004.0,
    )
    work(world, world.segments[0], "diverged", "me")
    assert blocked() == {("demo", 100): 1, ("demo", 200): 1, ("long", 200): 0}
    work(world, world.segments[1], "done", "me")
    assert blocked() == {("demo", 100): 1, ("demo", 200): 0, ("long", 200): 0}
