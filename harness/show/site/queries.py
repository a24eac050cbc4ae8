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
        "Every result that the means, intervals and paired differences are made of.",
        "SELECT recipe_id, flow, dataset, variant, profile, protocol, precision, rule,\n"
        "       factorization, budget, map_options, seed, bits_per_dim, trial_id\n"
        f"FROM results{_of(sweep_id)}\n"
        "ORDER BY recipe_id, dataset, variant, data_digest, protocol, precision, factorization,\n"
        "         budget, map_options, seed",
    )


def extent_query(sweep_id: str | None) -> SiteQuery:
    """Return the query for how many results there are, and from when to when."""
    return SiteQuery(
        "Extent",
        "How many results there are, and from when to when they were made.",
        # From the tables: the view joins ten more, for every result.
        "SELECT count(*) AS results, min(t.ended) AS first, max(t.ended) AS last,\n"
        "       count(DISTINCT e.code_version) AS versions, min(e.code_version) AS code_version\n"
        "FROM measurements AS m\n"
        "JOIN jobs AS j ON j.done_attempt_id = m.attempt_id AND m.name = 'bits_per_dim'\n"
        "JOIN attempts AS t ON t.id = m.attempt_id\n"
        "JOIN attempts AS a ON a.id = m.measured_by\n"
        f"JOIN environments AS e ON e.id = a.environment_id{_of(sweep_id, 'j.trial_id')}",
    )


def rules_query() -> SiteQuery:
    """Return the query for means over seeds beside the flow's own rule."""
    return SiteQuery(
        "Rules",
        "Means over all seeds of the database, and differences from the flow's own rule over the n "
        "seeds that both have.",
        "SELECT dataset, variant, flow, profile, steps, splits, rule, budget, n, mean, deviation,\n"
        "       difference, half_width, recipe_id, data_digest\n"
        "FROM board ORDER BY dataset, variant, flow, recipe_id, data_digest, mean",
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
        "LEFT JOIN measurements AS m ON m.attempt_id = j.done_attempt_id\n"
        f"     AND m.name = 'bits_per_dim' AND m.protocol = 'plain'{_of(sweep_id, 't.id')}\n"
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
        "SELECT p.name, p.precision, p.body, count(DISTINCT m.attempt_id) AS results\n"
        "FROM protocols AS p JOIN measurements AS m ON m.protocol_id = p.id\n"
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
        "The rules of each table of the leaderboard, the best mean first, with the difference from "
        "the own rule of the flow over the n seeds that both have, ± half_width.",
        "SELECT flow, dataset, variant, steps, substr(recipe_id, 1, 8) AS recipe, rule, budget,\n"
        "       mean, n, difference, half_width\n"
        "FROM board\n"
        "ORDER BY dataset, variant, flow, steps, recipe_id, data_digest, mean",
    ),
    SiteQuery(
        "How far is each rule from the conventional one?",
        "The mean difference by seed, in each table of the leaderboard by itself: of one flow, "
        "data set and recipe. Negative where the rule is better.",
        "SELECT flow, dataset, variant, steps, rule, budget, n, difference, half_width\n"
        "FROM board\n"
        "WHERE factorization <> conventional\n"
        "ORDER BY dataset, variant, flow, recipe_id, data_digest, difference",
    ),
    SiteQuery(
        "Low against high, seed by seed",
        "The paper's rule against its opposite on the same seed and weights; negative where low is "
        "better.",
        "SELECT flow, dataset, steps, budget, seed, difference\n"
        "FROM pairs\n"
        "WHERE rule = 'low' AND other_rule = 'high' AND budget = other_budget\n"
        "  AND protocol = 'plain' AND measure = 'bits_per_dim'\n"
        "ORDER BY flow, dataset, recipe_id, budget, seed",
    ),
    SiteQuery(
        "How much pretraining is enough?",
        "Bits per dimension of each word by the budget of its pretraining.",
        "SELECT flow, dataset, steps, substr(recipe_id, 1, 8) AS recipe, rule, budget, n, mean,\n"
        "       difference, half_width, pretraining_seconds\n"
        "FROM budgets\n"
        "ORDER BY flow, dataset, recipe_id, factorization, budget",
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
        "SELECT steps, mean FROM board ORDER BY steps, mean",
    ),
    SiteQuery(
        "What is there besides bits per dimension?",
        "Every measure, with the number of results that have it.",
        "SELECT measure, count(*) AS results\nFROM measures\n"
        "GROUP BY measure\nORDER BY results DESC, measure",
    ),
)
"""Questions to begin with, on the page that queries the database."""


def _of(sweep_id: str | None, column: str = "trial_id") -> str:
    if sweep_id is None:
        return ""
    return f"\nWHERE {column} IN ({_members(sweep_id)})"


def _lost(sweep_id: str) -> str:
    members = _members(sweep_id)
    used = f"SELECT pretraining_id FROM flow_trials WHERE id IN ({members})"
    return f"\nWHERE trial_id IN ({members})\n   OR pretraining_id IN ({used})"


def _members(sweep_id: str) -> str:
    return f"SELECT trial_id FROM sweep_trials WHERE sweep_id = {sql_literal(sweep_id)}"
