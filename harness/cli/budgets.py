"""`lcma budgets`: bits/dim or another measure against the budget of the pretraining."""

from typing import Annotated

import typer

from lcma.harness.cli.options import (
    By,
    Db,
    Json,
    Out,
    Picture,
    RowSelection,
    choose_rows,
    open_store,
    selecting,
)
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM


@selecting()
def budgets(
    selection: RowSelection,
    by: By = BITS_PER_DIM,
    margin: Annotated[
        float | None,
        typer.Option(
            metavar="NUMBER",
            help="How much worse than the longest budget is still enough, in the unit of --by "
            "(bits/dim: 0.01)",
        ),
    ] = None,
    out: Out = None,
    format: Picture = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Show bits/dim or another measure by budget, and the smallest budget that is enough.

    With --out or --format, also draw a picture of each curve.
    """
    from rich.text import Text

    from lcma.harness.results.budgets import read_budget_curves, read_stability
    from lcma.harness.show.budgets import budgets_as_records, render_budgets
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console
    from lcma.harness.text import format_count, to_json

    if margin is not None and not 0 < margin < float("inf"):
        raise UserError(f"--margin {margin:g} is not a margin: give a number above 0, such as 0.01")
    target = picture_target(out, format)
    store = open_store(db)
    sweep_id, filters = choose_rows(store, selection)
    curves = read_budget_curves(store, measure=by, sweep_id=sweep_id, margin=margin, **filters)
    shown = curves if json else [curve for curve in curves if len(curve.rows) > 1] or curves
    left_out = len(curves) - len(shown)
    curves = read_stability(store, shown)
    pictures = []
    if out or format:  # only if asked for: drawing takes longer than all the rest
        from lcma.harness.show.pictures import draw_budgets

        pictures = [draw_budgets(curve, target) for curve in curves]
    if json:
        records = budgets_as_records(curves)
        for record, path in zip(records, pictures, strict=False):
            record["picture"] = str(path)
        print(to_json(records))
        return
    console = Console()
    console.print(render_budgets(curves), highlight=False)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
    if left_out:
        console.print(f"Left out: {format_count(left_out, 'curve')} of a single budget.")
