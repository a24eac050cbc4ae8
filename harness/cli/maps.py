"""`lcma maps`: pictures of contribution maps and of the index tables made from them."""

from dataclasses import replace
from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Db,
    Json,
    Out,
    Picture,
    RowSelection,
    choose_rows,
    name_searched_sweep,
    note_last_sweep,
    open_store,
    selecting,
)
from lcma.sweeps.errors import UserError

MAX_PRETRAININGS = 24
"""Most pretrainings that are drawn if no option selects any; of more, only the last sweep's."""


@selecting()
def maps(
    db: Db = None,
    out: Out = None,
    format: Picture = None,
    *,
    selection: RowSelection,
    budget: Annotated[
        list[int] | None, typer.Option(help="Only this budget, in steps; repeatable")
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help="Only maps by this score: cumulative (the default), normalized, total, or a data "
            "rule such as variance-low; repeatable"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw contribution maps and the index tables made from them, and print their statistics.

    There is a picture maps-* for each pretraining, with all its budgets, and a
    picture tables-* for each budget. If no option selects any and there are more
    than 24 pretrainings, draw those of the sweep launched last.
    """
    from rich.text import Text

    from lcma.harness.results.lookup import OTHER_SWEEP, find_sweep
    from lcma.harness.results.maps import (
        DEFAULT_SCORE,
        filter_map_sets,
        filter_read_sets,
        list_map_sets,
    )
    from lcma.harness.show.maps import draw_maps, list_pictures, maps_as_records, tabulate_maps
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import printable, to_json

    target = picture_target(out, format)
    store = open_store(db)
    map_sets = list_map_sets(store)
    selected = selection or budget or score
    pretrainings = {map_set.pretraining_id for map_set in map_sets}
    only_last_sweep = not selected and len(pretrainings) > MAX_PRETRAININGS
    if only_last_sweep:
        selection = replace(selection, sweep=find_sweep(store, None).id)
    sweep_id, filters = choose_rows(store, selection)
    rules = filters.pop("factorization", ())
    searched = None if sweep_id is None else name_searched_sweep(store, sweep_id)
    if map_sets and (sweep_id is not None or rules):
        trials = store.job_facts(kind="trial", sweep_id=sweep_id)
        if rules:
            trials = [trial for trial in trials if trial.factorization in rules]
        map_sets = filter_read_sets(map_sets, trials)
        if not map_sets:
            source = "" if searched is None else f" of the sweep {printable(searched)}"
            remedy = "leave --sweep or --factorization out" if searched is None else OTHER_SWEEP
            raise UserError(f"no such trial{source} reads a map: {remedy}")
    filters = {
        "score": score or (sorted({s.score for s in map_sets}) if rules else [DEFAULT_SCORE]),
        **filters,
        **({"budget": (*filters.get("budget", ()), *budget)} if budget else {}),
    }
    with Console(stderr=True).status("drawing"):
        sheets = draw_maps(store, filter_map_sets(map_sets, filters, searched), target)
    if only_last_sweep:
        note_last_sweep(store)
    if json:
        print(to_json(maps_as_records(sheets)))
        return
    console = Console()
    for table in tabulate_maps(sheets):
        console.print(render_table(table, compact=True), Text(), highlight=False)
    for path in list_pictures(sheets):
        console.print(Text(str(path)), soft_wrap=True)
