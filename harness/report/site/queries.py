"""The SQL behind each table of the site: what runs is what is shown to be copied."""

from dataclasses import dataclass
from typing import Any

from lcma.db import Store
from lcma.db.query import run_sql

MOST = 2000
"""Most rows of one table; the page says where there are more."""

TIMEOUT = 60.0


@dataclass(frozen=True)
class SiteQuery:
    """A statement that reads, and what it is for. It runs on both engines."""

    name: str
    about: str
    sql: str


@dataclass(frozen=True)
class QueryRows:
    """Rows by column name; ``truncated`` says that there were more than `MOST`."""

    rows: tuple[dict[str, Any], ...]
    truncated: bool


def run_site_query(store: Store, statement: SiteQuery, most: int = MOST) -> QueryRows:
    """Return the rows of a query. Raises UserError as `lcma.db.query.run_sql` does."""
    found = run_sql(store.database.url, statement.sql, limit=most, timeout=TIMEOUT)
    rows = tuple(dict(zip(found.columns, row, strict=True)) for row in found.rows)
    return QueryRows(rows, found.truncated)


def sql_literal(value: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'"


def board_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for the single results that the leaderboard is made of."""
    return SiteQuery(
        "Leaderboard",
        "Every result that the means, intervals and paired differences are made of. "
        "Rows can be ranked together where `comparable` and `recipe_id` agree.",
        "SELECT comparable, recipe_id, flow, dataset, variant, profile, protocol, precision,\n"
        "       factorization, budget, map_options, seed, bits_per_dim, trial_id\n"
        f"FROM trial_results{_of(sweep_id)}\n"
        "ORDER BY comparable, recipe_id, factorization, budget, map_options, seed",
    )


def extent_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for how many results there are, and from when to when."""
    return SiteQuery(
        "Extent",
        "How many results there are, and from when to when they were made.",
        # From the tables: the view joins ten more, for every result.
        "SELECT count(*) AS results, min(r.created) AS first, max(r.created) AS last,\n"
        "       count(DISTINCT e.code_version) AS versions, min(e.code_version) AS code_version\n"
        "FROM measures AS m\n"
        "JOIN results AS r ON r.id = m.result_id\n"
        "     AND m.name = 'bits_per_dim' AND m.cell_id IS NOT NULL\n"
        "JOIN attempts AS a ON a.id = m.attempt_id\n"
        f"JOIN environments AS e ON e.id = a.environment_id{_of(sweep_id, 'r.trial_id')}",
    )


def cells_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for means over seeds, ranked."""
    ranked = "" if sweep_id is None else f"{_ranked(sweep_id)}\n"
    return SiteQuery(
        "Ranks",
        "Means over seeds, ranked within what can be compared. The sample variance is "
        "squared_deviations / (n - 1).",
        f"{ranked}SELECT dataset, variant, flow, profile, protocol, precision, steps, splits,\n"
        "       recipe_id, data_digest, measure, comparable, position, factorization, budget,\n"
        "       map_options, n, mean, squared_deviations, conventional, from_conventional,\n"
        "       cell_id\n"
        f"FROM {'ranked' if ranked else 'leaderboard'}\n"
        "ORDER BY dataset, flow, profile, comparable, recipe_id, position, factorization, budget,\n"
        "         map_options",
    )


def paper_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for cells beside printed numbers."""
    seeds, joined, of = "", "", "against_paper"
    if sweep_id is not None:
        seeds, of = f"WITH {_own_seeds(sweep_id)}\n", "own"
        joined = "\nJOIN own ON own.cell_id = against_paper.cell_id"
    return SiteQuery(
        "Against the paper",
        "Means beside the numbers that papers print of the same flow, data set and "
        "factorization, with the usual options of the map. `paper_profile` is 1 where the recipe "
        "is the published one.",
        f"{seeds}SELECT against_paper.flow, dataset, variant, against_paper.profile,\n"
        "       paper_profile, protocol, precision, steps, factorization, printed_as, budget,\n"
        f"       {of}.n, {of}.mean, {of}.squared_deviations, printed,\n"
        f"       {of}.mean - printed AS difference, source, source_table, part, note,\n"
        "       data_digest, recipe_id\n"
        f"FROM against_paper{joined}\nJOIN recipes ON recipes.id = recipe_id\n"
        "WHERE map_options IS NULL\n"
        "ORDER BY against_paper.flow, dataset, variant, against_paper.profile, source_table,\n"
        "         steps, factorization, budget, against_paper.cell_id",
    )


def coverage_query(sweep_id: str) -> SiteQuery:
    """Return the query for what each cell of a sweep has and lacks."""
    return SiteQuery(
        "Coverage",
        "What each cell of a sweep has and lacks, and why the first of the missing is missing.",
        "SELECT flow, dataset, variant, profile, recipe_id, data_digest, asked, factorization,\n"
        "       budget, map_options, planned, done, running, pending, blocked, diverged, failed,\n"
        "       why\n"
        f"FROM coverage WHERE sweep_id = {sql_literal(sweep_id)}\n"
        "ORDER BY flow, dataset, variant, profile, recipe_id, data_digest, asked, budget,\n"
        "         map_options",
    )


def trials_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for every trial with its state and its result by the protocol `plain`."""
    return SiteQuery(
        "Trials",
        "Every trial on each exact data set, with its state and its result by `plain`.",
        "SELECT t.id AS trial_id, t.flow, t.dataset, t.variant, t.profile, t.factorization,\n"
        "       t.budget, t.map_options, t.seed, t.recipe_id, t.pretraining_id,\n"
        "       j.id AS job_id, j.data_digest, j.state, j.step, j.steps, m.value AS bits_per_dim,\n"
        "       m.standard_error\n"
        "FROM flow_trials AS t\n"
        "JOIN jobs AS j ON j.trial_id = t.id\n"
        "LEFT JOIN results AS r ON r.attempt_id = j.done_attempt_id\n"
        "LEFT JOIN measures AS m ON m.result_id = r.id AND m.name = 'bits_per_dim'\n"
        f"     AND m.protocol = 'plain'{_of(sweep_id, 't.id')}\n"
        "ORDER BY t.dataset, t.flow, t.recipe_id, t.factorization, t.budget, t.map_options,\n"
        "         t.seed, t.id, j.data_digest",
    )


def failures_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for jobs that were lost, the latest first."""
    members = "" if sweep_id is None else _lost(sweep_id)
    return SiteQuery(
        "Failures",
        "Jobs that diverged or failed, with their last attempt, the latest first.",
        "SELECT kind, flow, dataset, variant, profile, factorization, budget, seed, state, step,\n"
        "       steps, outcome, message, host, device, devices, ended, decision, trial_id, job_id\n"
        f"FROM failures{members}\nORDER BY updated DESC, job_id",
    )


def environments_query() -> SiteQuery:
    """Return the query for where code ran, with how many attempts ran there."""
    return SiteQuery(
        "Environments",
        "Where the code ran: versions and hardware, with the number of attempts.",
        "SELECT e.id, e.code_version, e.dirty, e.python, e.torch, e.platform, e.device,\n"
        "       e.cpu_capability, e.driver, count(a.id) AS attempts\n"
        "FROM environments AS e JOIN attempts AS a ON a.environment_id = e.id\n"
        "GROUP BY e.id, e.code_version, e.dirty, e.python, e.torch, e.platform, e.device,\n"
        "         e.cpu_capability, e.driver\n"
        "ORDER BY attempts DESC, e.id",
    )


def protocols_query() -> SiteQuery:
    """Return the query for how results were evaluated."""
    return SiteQuery(
        "Protocols",
        "How trained models were evaluated, with the number of results.",
        "SELECT p.name, p.precision, p.body, count(DISTINCT m.result_id) AS results\n"
        "FROM protocols AS p JOIN measures AS m ON m.protocol_id = p.id\n"
        "GROUP BY p.name, p.precision, p.body ORDER BY p.name, p.precision, p.body",
    )


def data_sets_query() -> SiteQuery:
    """Return the query for the exact data sets."""
    return SiteQuery(
        "Data sets",
        "The exact images: a content hash, and how many of each part.",
        "SELECT digest, name, variant, channels, height, width, train, holdout, test\n"
        "FROM data_sets ORDER BY name, variant, digest",
    )


EXAMPLES = (
    SiteQuery(
        "Which rule has the fewest bits per dimension?",
        "The row with the best mean of each table of the leaderboard, with the seeds behind it and "
        "its mean difference by seed from the conventional rule of its flow, as the leaderboard "
        "has it.",
        "SELECT flow, dataset, variant, steps, substr(recipe_id, 1, 8) AS recipe, factorization,\n"
        "       budget, n, mean, half_width,\n"
        "       (SELECT avg(pairs.difference) FROM pairs\n"
        "        WHERE pairs.cell_id = leaderboard.cell_id\n"
        "          AND pairs.other_factorization = leaderboard.conventional) AS difference\n"
        "FROM leaderboard\n"
        "WHERE position = 1 AND protocol = 'plain' AND measure = 'bits_per_dim'\n"
        "ORDER BY dataset, variant, flow, steps, recipe_id, comparable",
    ),
    SiteQuery(
        "How far is each rule from the conventional one?",
        "The mean difference by seed, in each table of the leaderboard by itself: of one flow, "
        "data set and recipe. Negative where the rule is better.",
        "SELECT pairs.flow, dataset, variant, recipes.steps, factorization, budget, map_options,\n"
        "       count(*) AS n, avg(difference) AS difference\n"
        "FROM pairs JOIN recipes ON recipes.id = recipe_id\n"
        "WHERE other_factorization = recipes.conventional\n"
        "  AND protocol = 'plain' AND measure = 'bits_per_dim'\n"
        "GROUP BY pairs.flow, dataset, variant, recipes.steps, recipe_id, comparable,\n"
        "         factorization, budget, map_options\n"
        "ORDER BY dataset, pairs.flow, recipe_id, comparable, difference",
    ),
    SiteQuery(
        "Low against high, seed by seed",
        "The paper's rule against its opposite on the same seed and weights; negative where low is "
        "better.",
        "SELECT flow, dataset, budget, factorization, other_factorization, seed, difference\n"
        "FROM pairs\n"
        "WHERE factorization IN ('LL', 'LLL', 'LLLL', 'LLLLL')\n"
        "  AND other_factorization = replace(factorization, 'L', 'H')\n"
        "  AND protocol = 'plain' AND measure = 'bits_per_dim'\n"
        "ORDER BY flow, dataset, recipe_id, budget, seed",
    ),
    SiteQuery(
        "How much pretraining is enough?",
        "Bits per dimension of each word by the budget of its pretraining. `from_conventional` is "
        "a difference of means, not paired by seed.",
        "SELECT flow, dataset, substr(recipe_id, 1, 8) AS recipe, factorization, budget, n, mean,\n"
        "       from_conventional, pretraining_seconds\n"
        "FROM budget_curve\n"
        "WHERE protocol = 'plain' AND measure = 'bits_per_dim'\n"
        "ORDER BY flow, dataset, recipe_id, factorization, map_options, budget",
    ),
    SiteQuery(
        "What did each rule cost?",
        "Hours and memory of a trial with its own pretraining.",
        "SELECT flow, dataset, factorization, budget, count(*) AS trials,\n"
        "       avg(total_seconds) / 3600 AS hours, max(peak_memory) / 1073741824.0 AS gib\n"
        "FROM costs WHERE state = 'done'\n"
        "GROUP BY flow, dataset, recipe_id, factorization, budget\n"
        "ORDER BY flow, dataset, factorization, budget",
    ),
    SiteQuery(
        "Do longer trainings end lower?",
        "The mean of every rule over its number of training steps. Drawn.",
        "SELECT recipes.steps, avg(bits_per_dim) AS bits_per_dim\n"
        "FROM trial_results JOIN recipes ON recipes.id = recipe_id\n"
        "WHERE protocol = 'plain'\n"
        "GROUP BY recipes.steps, recipe_id, data_digest, factorization, budget\n"
        "ORDER BY recipes.steps, bits_per_dim",
    ),
    SiteQuery(
        "What is there besides bits per dimension?",
        "Every measure, with the number of results that have it.",
        "SELECT measure, count(*) AS results\nFROM trial_measures\n"
        "GROUP BY measure\nORDER BY results DESC, measure",
    ),
)
"""Questions to begin with, on the page that queries the database."""


def _of(sweep_id: str | None, column: str = "trial_id") -> str:
    if sweep_id is None:
        return ""
    return f"\nWHERE {column} IN ({_members(sweep_id)})"


def _own_seeds(sweep_id: str) -> str:
    """Return the table `own` of a WITH: the cells of a sweep over its own seeds alone.

    Those of the views are over all that the database has.
    """
    return (
        "own AS (\n"
        "    SELECT cell_id, count(*) AS n, avg(value) AS mean,\n"
        "           sum((value - cell_mean) * (value - cell_mean)) AS squared_deviations\n"
        "    FROM (SELECT cell_id, value, avg(value) OVER (PARTITION BY cell_id) AS cell_mean\n"
        "          FROM trial_measures\n"
        f"          WHERE trial_id IN ({_members(sweep_id)})) AS seeds\n"
        "    WHERE cell_id IS NOT NULL GROUP BY cell_id\n"
        ")"
    )


def _ranked(sweep_id: str) -> str:
    """Return the WITH of `ranked`: the columns of `leaderboard`, of a sweep's own seeds."""
    return (
        f"WITH {_own_seeds(sweep_id)}, ranked AS (\n"
        "    SELECT cell.dataset, cell.variant, cell.flow, cell.profile, cell.protocol,\n"
        "           cell.precision, cell.steps, cell.splits, cell.recipe_id, cell.data_digest,\n"
        "           cell.measure, cell.comparable, cell.factorization, cell.budget,\n"
        "           cell.map_options, own.n, own.mean, own.squared_deviations, conventional,\n"
        "           cell.cell_id, rank() OVER (near ORDER BY sign * own.mean) AS position,\n"
        "           own.mean - sign * min(CASE WHEN cell.factorization = conventional\n"
        "                                      THEN sign * own.mean END) OVER near\n"
        "               AS from_conventional\n"
        "    FROM seed_statistics AS cell\n"
        "    JOIN own ON own.cell_id = cell.cell_id\n"
        "    JOIN recipes ON recipes.id = cell.recipe_id\n"
        "    JOIN (SELECT name, CASE WHEN direction = 'higher' THEN -1 ELSE 1 END AS sign\n"
        "          FROM measure_kinds) AS kinds ON kinds.name = cell.measure\n"
        "    WINDOW near AS (PARTITION BY comparable, cell.recipe_id)\n"
        ")"
    )


def _lost(sweep_id: str) -> str:
    members = _members(sweep_id)
    used = f"SELECT pretraining_id FROM flow_trials WHERE id IN ({members})"
    return f"\nWHERE trial_id IN ({members})\n   OR pretraining_id IN ({used})"


def _members(sweep_id: str) -> str:
    return f"SELECT trial_id FROM sweep_trials WHERE sweep_id = {sql_literal(sweep_id)}"
