"""`lcma curves`: how training went, as pictures of its curves."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Out, Picture


def curves(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SWEEP|TRIAL]...",
            help="Sweeps, or trials and pretrainings by the first characters of their ids",
        ),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="Of this sweep, by name or id [the newest]")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="METRIC", help="Only this curve: holdout_bits_per_dim, ..."),
    ] = None,
    db: Db = None,
    out: Out = None,
    format: Picture = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set")] = None,
    profile: Annotated[str | None, typer.Option(help="Only this profile of the recipes")] = None,
    factorization: Annotated[
        list[str] | None, typer.Option(help="Only this one and the conventional; repeatable")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="Only this budget, in steps, and what has none")
    ] = None,
    pretraining: Annotated[
        bool, typer.Option("--pretraining", help="The sweep's pretrainings too")
    ] = False,
    json: Json = False,
) -> None:
    """Draw the curves of trainings: bits/dim over steps, a line for each factorization.

    A picture for each flow, data set and recipe goes to --out (lcma-pictures), or to that file
    where it ends in .png or .svg.
    """
    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import formats
    from lcma.harness.report.curves import choosing, drawing, page, reading
    from lcma.harness.report.text import to_json

    target = formats.target(out, format)
    store = connect(place.find(db, None, None).db, create=False)
    known = choosing.trainings(store, what or [], sweep, pretrainings=pretraining)
    conventional = choosing.conventional_by_recipe(store, known)
    chosen = choosing.only(
        known,
        budget=budget,
        named=factorization or [],
        conventional=conventional,
        flow=flow,
        dataset=dataset,
        profile=profile,
    )
    found = reading.read(store, chosen, conventional, name)
    with Console(stderr=True).status("drawing"):
        pictures = drawing.draw_all(found.charts, target)
    if json:
        print(to_json(page.as_records(found, pictures)))
        return
    console = Console()
    console.print(page.render(found), highlight=False)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)
    console.print(Text("Next: lcma board | lcma status | lcma why TRIAL"))
