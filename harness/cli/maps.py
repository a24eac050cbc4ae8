"""`lcma maps`: drawing contribution maps and the index tables made from them."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    Out,
    Picture,
    Seeds,
    Sweep,
    Where,
    choose_rows,
    tell_last_sweep,
)
from lcma.sweeps.errors import UserError

MOST = 24
"""Pretrainings of which all is drawn; of more those of the sweep launched last."""


def maps(
    db: Db = None,
    out: Out = None,
    format: Picture = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    budget: Annotated[
        list[int] | None, typer.Option(help="Only this budget, in steps; repeatable")
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(
            help="Only maps by this score: cumulative (the default), normalized, total, or a rule "
            "of the data such as variance-low; repeatable"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Draw contribution maps and the index tables made from them, and print their statistics.

    Of more than 24 pretrainings those of the sweep launched last are drawn.
    Pictures go to --out (lcma-pictures): maps-* for each pretraining with its
    budgets, tables-* for each budget.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_sweep
    from lcma.harness.results.maps import USUAL, filter_map_sets, filter_read_sets, list_map_sets
    from lcma.harness.show.maps import draw_maps, list_pictures, maps_as_records, tabulate_maps
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    target = picture_target(out, format)
    store = connect(find_place(db, None, None).db, create=False)
    known = list_map_sets(store)
    given = sweep, flow, dataset, factorization, seed, where, budget, score
    last = not any(given) and len({one.pretraining_id for one in known}) > MOST
    if last:
        sweep = find_sweep(store, None).id
    sweep_id, filters = choose_rows(store, sweep, where, flow=flow, dataset=dataset, seed=seed)
    _, rules = choose_rows(store, None, None, factorization=factorization)
    read = known
    if sweep_id is not None or rules:
        trials = store.job_facts(kind="trial", sweep_id=sweep_id)
        if rules:
            trials = [one for one in trials if one.factorization in rules["factorization"]]
        read = filter_read_sets(known, trials)
        if known and not read:
            raise UserError("no maps are read by such trials: leave --sweep or --factorization out")
    filters = {"score": score or [USUAL], **filters, **({"budget": budget} if budget else {})}
    chosen = filter_map_sets(read, filters)
    with Console(stderr=True).status("drawing"):
        sheets = draw_maps(store, chosen, target)
    if last:
        tell_last_sweep(store)
    if json:
        print(to_json(maps_as_records(sheets)))
        return
    console = Console()
    for table in tabulate_maps(sheets):
        console.print(render_table(table, compact=True), Text(), highlight=False)
    for path in list_pictures(sheets):
        console.print(Text(str(path)), soft_wrap=True)
