"""`lcma maps`: drawing contribution maps and the index tables made from them."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json, OnlyDataset, OnlyFlow, Out, Picture
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType


def maps(
    db: Db = None,
    out: Out = None,
    format: Picture = None,
    flow: OnlyFlow = None,
    dataset: OnlyDataset = None,
    budget: Annotated[int | None, typer.Option(help="Only this budget, in steps")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed")] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Only maps by this score: cumulative (the default), normalized, total, or a rule "
            "of the data such as variance-low"
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this recipe, by the start of its id")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Compare two sets of maps, by their ids"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw contribution maps and the index tables made from them, and print their statistics.

    Pictures go to --out (lcma-pictures): maps-* for each pretraining with its
    budgets, tables-* for each budget, compare-* for --compare.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.gallery import draw_comparison, draw_maps, list_pictures
    from lcma.harness.report.maps import (
        comparison_as_record,
        maps_as_records,
        render_comparison,
        render_maps,
    )
    from lcma.harness.report.targets import picture_folder
    from lcma.harness.results.maps import USUAL, filter_map_sets, find_map_set, list_map_sets
    from lcma.harness.terminal import Console
    from lcma.harness.text import to_json

    filters = {"flow": flow, "dataset": dataset, "budget": budget, "seed": seed, "score": score}
    given = [n for n, value in (filters | {"recipe": recipe}).items() if value is not None]
    if compare is not None and given:
        raise UserError(f"--compare names two sets of maps and does not go with --{given[0]}")
    target = picture_folder(out, format)
    store = connect(find_place(db, None, None).db, create=False)
    known = list_map_sets(store)
    shown: RenderableType
    content: object
    with Console(stderr=True).status("drawing"):
        if compare is None:
            filters["score"] = score or USUAL
            chosen = filter_map_sets(known, recipe, **filters)
            sheets = draw_maps(store, chosen, target)
            shown, content = render_maps(sheets), maps_as_records(sheets)
            pictures = list_pictures(sheets)
        else:
            one, other = (find_map_set(known, name) for name in compare)
            sheet = draw_comparison(store, one, other, target)
            shown, content = render_comparison(sheet), comparison_as_record(sheet)
            pictures = [sheet.picture]
    if json:
        print(to_json(content))
        return
    console = Console()
    console.print(shown, highlight=False, soft_wrap=True)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
