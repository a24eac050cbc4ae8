"""`lcma samples`: images drawn from trained flows."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, Out, Picture, Runs, Sweep, Trial


def samples(
    trial: Trial = None,
    sweep: Sweep = None,
    db: Db = None,
    runs: Runs = None,
    out: Out = None,
    format: Picture = None,
    count: Annotated[int, typer.Option(help="Images in a grid")] = 64,
    temperature: Annotated[float, typer.Option(help="Scales the noise of the priors")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise")] = 0,
    json: Json = False,
) -> None:
    """Draw samples from trained flows, a grid for each, into --out (lcma-pictures).

    Without a trial: each factorization of the sweep (the newest), at its first trained seed.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import formats, gallery
    from lcma.harness.report.text import plain, to_json

    where = place.find(db, runs, None)
    target = formats.folder(out, format)
    store = connect(where.db, create=False)
    chosen = gallery.chosen(store, trial, sweep)
    sheets = gallery.draw_samples(
        store, where, chosen, target, count=count, temperature=temperature, seed=seed
    )
    if json:
        asked = {"count": count, "temperature": temperature, "sample_seed": seed}
        print(to_json([asdict(s.trial) | asked | {"grid": str(s.grid)} for s in sheets]))
        return
    console = Console()
    for sheet in sheets:
        line = f"{plain(gallery.named(sheet.trial))}: {sheet.grid}"
        console.print(Text(line), soft_wrap=True)
