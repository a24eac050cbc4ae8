"""`lcma maps`: contribution maps and the tables that follow from them, as pictures."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json, Out, Picture
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType


def maps(
    db: Db = None,
    out: Out = None,
    format: Picture = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set")] = None,
    budget: Annotated[int | None, typer.Option(help="Only this budget, in steps")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed")] = None,
    score: Annotated[
        str | None,
        typer.Option(help="By this score: cumulative (the default), normalized or total"),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this recipe, by the start of its id")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Hold two sets of maps against each other, by their ids"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw contribution maps and the index tables they lead to, and say what they are made of.

    Pictures go to --out (lcma-pictures): maps-* for each pretraining with its budgets, tables-* for
    each budget, compare-* for --compare.
    """
    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import formats, gallery, map_tables, mapsets
    from lcma.harness.report.text import to_json

    filters = {"flow": flow, "dataset": dataset, "budget": budget, "seed": seed, "score": score}
    given = [n for n, value in (filters | {"recipe": recipe}).items() if value is not None]
    if compare is not None and given:
        raise UserError(f"--compare names two sets of maps and does not go with --{given[0]}")
    target = formats.folder(out, format)
    store = connect(place.find(db, None, None).db, create=False)
    known = mapsets.known(store)
    shown: RenderableType
    content: object
    with Console(stderr=True).status("drawing"):
        if compare is None:
            filters["score"] = score or mapsets.USUAL
            chosen = mapsets.choose(known, recipe, **filters)
            sheets = gallery.draw_maps(store, chosen, target)
            shown, content = map_tables.render(sheets), map_tables.as_records(sheets)
            pictures = gallery.paths(sheets)
        else:
            one, other = (mapsets.find(known, asked) for asked in compare)
            sheet = gallery.draw_comparison(store, one, other, target)
            shown, content = map_tables.render_comparison(sheet), map_tables.as_record(sheet)
            pictures = [sheet.picture]
    if json:
        print(to_json(content))
        return
    console = Console()
    console.print(shown, highlight=False, soft_wrap=True)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
