"""The public functions of `import lcma`, for notebooks and scripts."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from lcma import db
from lcma.db import Store
from lcma.harness.place import Place, find_place
from lcma.harness.results.lookup import find_sweep, require_results
from lcma.sweeps import factorizations
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM
from lcma.sweeps.options import (
    LaunchOptions,
    Overrides,
    check_options,
    describe_options,
)

if TYPE_CHECKING:
    import pandas as pd

    from lcma.harness.launch.plan import Plan, SpecLike
    from lcma.harness.launch.sweep import LaunchReport, Progress
    from lcma.harness.results.board import Board
    from lcma.harness.results.budgets import BudgetCurve
    from lcma.harness.results.verdicts import Verdicts
    from lcma.harness.show.notebook import View
    from lcma.models import Flow
    from lcma.sweeps.recipe import Recipe

Where = str | int | float | None

Database = Store | str | os.PathLike[str] | None


def connect(url: str | os.PathLike[str] | None = None, *, write: bool = False) -> Store:
    """Open a results database, by default read-only.

    Example:
        >>> with lcma.connect("lcma.db") as store:
        ...     store.sql("SELECT factorization, bits_per_dim FROM results")

    Args:
        url: A path ending in .db or .sqlite, `sqlite:///PATH`,
            `postgresql://USER@HOST/DATABASE`, or "reference" for the results that come with the
            package; by default LCMA_DB, or lcma.db in the current folder.
        write: Allow writing; make a missing database, and upgrade one of an older schema.

    Returns:
        The store, a context manager. `store.sql(query)` and `store.view(name, ...)` return data
        frames, `store.maps(...)` contribution maps, `store.sweeps()` the sweeps.

    Raises:
        UserError: If there is no database to read, or one that this version cannot use.
    """
    where = find_place(None if url is None else os.fspath(url), None, None, write=write).db
    store = db.connect(where, create=write)
    return store if write else Store(store.database, read_only=True)


def plan(
    spec: "SpecLike",
    store: Database = None,
    *,
    data: str | os.PathLike[str] | None = None,
    **overrides: Unpack[Overrides],
) -> "Plan":
    """Plan a sweep against a database: which trials are new, stored, running or invalid.

    Example:
        >>> lcma.plan("demo", seeds=2, steps=100).to_pandas()

    Args:
        spec: A shipped sweep's name such as "demo", the path of a sweep file, its content as a
            mapping, or a spec.
        store: The database or its URL; by default as in `connect`. It may not exist yet.
        data: The folder of prepared data sets; by default LCMA_DATA, or lcma-data.
        **overrides: As `lcma plan` has them; names and numbers may be lists:

            {options}

    Returns:
        The plan, with `.cells`, `.pretrainings`, `.summary`, `.to_pandas()`, and `.power`: what
        its seeds could show, by the spread of earlier results.

    Raises:
        UserError: For anything in the spec that is unknown or out of range, and for a plug-in
            that a launch would refuse.
    """
    from lcma.harness.launch.plan import list_histories, make_plan, open_existing, read_spec
    from lcma.harness.launch.rehearsal import rehearse_plugins
    from lcma.harness.results.power import compute_power
    from lcma.sweeps import plugins

    plugins.load_named()
    place = _place(store, None, data)
    opened = store if isinstance(store, Store) else open_existing(place)
    checked = read_spec(spec, place, check_options(Overrides, overrides), "arguments")
    planned = make_plan(checked, place, opened)
    rehearse_plugins(planned)
    return replace(planned, power=compute_power(planned.expansion.cells, list_histories(opened)))


def launch(
    spec: "SpecLike",
    store: Database = None,
    *,
    data: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] | None = None,
    progress: "Callable[[Progress], None] | None" = None,
    **options: Unpack[LaunchOptions],
) -> "LaunchReport":
    """Run what is missing of a sweep, as `lcma launch` does, and report how it ended.

    It prints nothing. Launched again, it goes on where it stopped. A script (not a notebook) that
    calls it needs the usual `if __name__ == "__main__":`, since workers are processes.

    Example:
        >>> report = lcma.launch("demo", "lcma.db", local=True, steps=100, seeds=2)
        >>> report.lost
        0

    Args:
        spec: A shipped sweep's name, the path of a sweep file, its content, or a spec.
        store: The database, opened with `write=True`, or its URL; by default as in `connect`.
        data: The folder of prepared data sets; by default LCMA_DATA, or lcma-data.
        runs: The folder or URL of checkpoints; by default LCMA_RUNS, or lcma-runs.
        progress: Called with a `Progress` while jobs run: `.ended` of `.total` jobs, `.running`
            jobs, and a `.message` if something happened.
        **options: As `lcma launch` has them:

            {options}

    Returns:
        The report: `.sweep_id`, `.reports` by job, and `.lost`, the number of jobs without a
        result.

    Raises:
        UserError: If it is refused, before anything is changed.
        LaunchStoppedError: If `lcma stop` ended it.
        LimitReachedError: If it reached a limit of hours.
        KeyboardInterrupt: If a signal ended it. Running jobs keep their last checkpoint.
    """
    from lcma.harness.launch.sweep import Callback, launch_sweep
    from lcma.sweeps import plugins

    plugins.load_named()
    chosen: LaunchOptions = check_options(LaunchOptions, options)
    if isinstance(store, Store) and store.read_only:
        raise UserError(
            f"{store.name} was opened for reading: open it with lcma.connect(URL, write=True)"
        )
    place = _place(store, runs, data, write=True)
    observer = Callback(progress or (lambda _: None))
    return launch_sweep(spec, place, chosen, observer, source="arguments", arguments="lcma.launch")


def results(
    store: Database = None,
    *,
    sweep: str | None = None,
    factorization: str | Collection[str] | None = None,
    **where: Where | tuple[Where, ...],
) -> "pd.DataFrame":
    """Read the view `results`, which has a row for each result, as a data frame.

    Example:
        >>> lcma.results("lcma.db", sweep="demo", factorization=["low", "conventional"])

    Args:
        store: The database or its URL; by default as in `connect`.
        sweep: The name or id of a sweep; by default all results.
        factorization: Only these, under any of their names.
        **where: By column of the view `results` (flow, dataset, seed, protocol, ...) the
            value, or a tuple of values, that it may have.

    Returns:
        The results in the order of the view; `lcma sql --schema results` lists its columns.

    Raises:
        UserError: For an unknown sweep, column or factorization, and for a value that no result
            has.
    """
    opened, sweep_id = _open_sweep(store, sweep, factorization=factorization, **where)
    rows = opened.view("results", sweep_id=sweep_id, **where)
    if rows.empty:
        require_results(opened, sweep_id, where, "{name}=")
    if factorization is None or rows.empty:
        return rows
    recipes = opened.recipes(set(rows["recipe_id"]))
    names = (factorization,) if isinstance(factorization, str) else tuple(factorization)
    present = set(rows["factorization"])
    # The rule of a plug-in that is not loaded is known by its results.
    requested = {name if name in present else factorizations.normalize(name) for name in names}
    chosen = [
        bool(
            requested
            & factorizations.synonyms(
                name, conventional=recipes[recipe].conventional or "", splits=splits
            )
        )
        for name, recipe, splits in zip(
            rows["factorization"], rows["recipe_id"], rows["splits"], strict=True
        )
    ]
    if not any(chosen):
        others = ", ".join(sorted(present))
        raise UserError(f"no results of {', '.join(sorted(requested))} here: there are {others}")
    return rows[chosen].reset_index(drop=True)


def board(
    store: Database = None,
    *,
    by: str = BITS_PER_DIM,
    sweep: str | None = None,
    against: str = "conventional",
    factorization: str | Collection[str] | None = None,
    **where: Where | tuple[Where, ...],
) -> "View[Board]":
    """Read the leaderboard: which factorization has the fewest bits/dim, with intervals.

    Example:
        >>> lcma.board("lcma.db", flow="realnvp", dataset="cifar10")

    Args:
        store: The database or its URL; by default as in `connect`.
        by: The measure that rows are ranked by.
        sweep: The name or id of a sweep; by default all results.
        against: The factorization that others are compared with, such as ``low@1000`` if it has
            several budgets.
        factorization: Only these, under any of their names.
        **where: By column of the view `results` (flow, dataset, profile, protocol, ...) the
            value, or a tuple of values, that it may have.

    Returns:
        The board. A notebook shows it; `.to_pandas()` returns its rows.

    Raises:
        UserError: For an unknown sweep, measure, column or factorization, and for a value that no
            result has.
    """
    from lcma.harness.results.board import filter_board, read_board
    from lcma.harness.show.notebook import view_board

    opened, sweep_id = _open_sweep(store, sweep, factorization=factorization, **where)
    table = read_board(opened, measure=by, sweep_id=sweep_id, against=against, **where)
    if not table.groups:
        require_results(opened, sweep_id, where, "{name}=", measure=by)
    if factorization is not None:
        names = (factorization,) if isinstance(factorization, str) else tuple(factorization)
        table = filter_board(table, names)
    return view_board(table)


def verdicts(
    store: Database = None,
    *,
    by: str = BITS_PER_DIM,
    sweep: str | None = None,
    **where: Where | tuple[Where, ...],
) -> "View[Verdicts]":
    """Judge the claims of the paper and of this project by the stored results.

    Example:
        >>> lcma.verdicts("reference", flow="glow")

    Args:
        store: The database or its URL; by default as in `connect`.
        by: The measure that claims are about.
        sweep: The name or id of a sweep; by default all results.
        **where: By column of the view `results` (flow, dataset, profile, ...) the value, or a
            tuple of values, that it may have.

    Returns:
        The verdicts. A notebook shows them; `.to_pandas()` returns a row for each.

    Raises:
        UserError: For an unknown sweep, measure or column, and for a value that no result has.
    """
    from lcma.harness.results.verdicts import read_verdicts
    from lcma.harness.show.notebook import view_verdicts

    opened, sweep_id = _open_sweep(store, sweep, **where)
    require_results(opened, sweep_id, where, "{name}=", measure=by)
    return view_verdicts(read_verdicts(opened, measure=by, sweep_id=sweep_id, **where))


def budgets(
    store: Database = None,
    *,
    by: str = BITS_PER_DIM,
    sweep: str | None = None,
    factorization: str | None = None,
    margin: float | None = None,
    **where: Where | tuple[Where, ...],
) -> "View[Sequence[BudgetCurve]]":
    """Read a measure by the budget of the pretraining, and the smallest sufficient budget.

    Example:
        >>> lcma.budgets("reference", flow="realnvp", factorization="low")

    Args:
        store: The database or its URL; by default as in `connect`.
        by: The measure that budgets are compared by.
        sweep: The name or id of a sweep; by default all results.
        factorization: Only this one, by any of its names but `conventional`.
        margin: How much worse than the longest budget a sufficient budget may be, in the unit of
            ``by``; 0.01 bits/dim by default.
        **where: By column of the view `results` (flow, dataset, profile, ...) the value, or a
            tuple of values, that it may have.

    Returns:
        The curves. A notebook shows them; `.to_pandas()` returns a row for each budget.

    Raises:
        UserError: For an unknown sweep, measure, column or factorization, and if no result used a
            pretraining.
    """
    from lcma.harness.results.budgets import read_budget_curves, read_stability
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.show.notebook import view_budgets

    if margin is not None and not 0 < margin < float("inf"):
        raise UserError(f"margin={margin:g} is not a margin: give a number above 0")
    opened, sweep_id = _open_sweep(store, sweep, **where)
    filters = where | parse_filters((), factorization=factorization and [factorization])
    require_results(opened, sweep_id, filters, "{name}=", measure=by)
    curves = read_budget_curves(opened, measure=by, sweep_id=sweep_id, margin=margin, **filters)
    return view_budgets(read_stability(opened, curves))


def load_flow(
    store: Database, trial: str, *, runs: str | os.PathLike[str] | None = None
) -> "tuple[Flow, Recipe]":
    """Load a trained flow from its weights.

    Example:
        >>> flow, recipe = lcma.load_flow("lcma.db", "3f2a")
        >>> images = flow.sample(16)

    Args:
        store: The database or its URL; by default as in `connect`.
        trial: The id of the trial, or its first characters.
        runs: The folder or URL of weights; by default LCMA_RUNS, or lcma-runs.

    Returns:
        The flow as it was evaluated (with EMA weights if the recipe has them), and its recipe.

    Raises:
        UserError: For an unknown trial, one without weights, or damaged weights.
    """
    from lcma.harness.measure import weights
    from lcma.harness.results.trials import choose_drawn_trials
    from lcma.sweeps import plugins

    plugins.load_named()
    opened = _open(store)
    (job,), _ = choose_drawn_trials(opened, trial, None, {})
    flow, recipe = weights.load_flow(opened, _place(opened, runs, None), job)
    flow.before_evaluation()
    return flow, recipe


def _open(store: Database) -> Store:
    return store if isinstance(store, Store) else connect(store)


def _open_sweep(store: Database, sweep: str | None, **filters: object) -> tuple[Store, str | None]:
    """Open a database, and find a sweep in it if one is named. Checks filters."""
    if "sweep_id" in filters:
        raise UserError("sweep_id= is not a filter: give sweep=, the name or the id of a sweep")
    if "measure" in filters:
        raise UserError("measure= is not a filter: give by=, the name of a measure")
    for name, value in filters.items():
        if isinstance(value, Collection) and not isinstance(value, str) and len(value) == 0:
            raise UserError(f"{name}=() is not a filter: give a value, or leave it out")
    opened = _open(store)
    return opened, None if sweep is None else find_sweep(opened, sweep).id


def _place(
    store: Database,
    runs: str | os.PathLike[str] | None,
    data: str | os.PathLike[str] | None,
    *,
    write: bool = False,
) -> Place:
    url = store.url if isinstance(store, Store) else store
    place = find_place(
        None if url is None else str(url),
        None if runs is None else os.fspath(runs),
        Path(data) if data else None,
        write=write,
    )
    return replace(place, db=store.url) if isinstance(store, Store) else place


for _function, _record in ((plan, Overrides), (launch, LaunchOptions)):
    _function.__doc__ = (_function.__doc__ or "").replace("{options}", describe_options(_record))
