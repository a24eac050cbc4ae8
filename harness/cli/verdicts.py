"""`lcma verdicts`: what the results say of the paper's claims and of ours."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json


def verdicts(
    db: Db = None,
    flow: Annotated[str | None, typer.Option(help="Only this flow")] = None,
    dataset: Annotated[str | None, typer.Option(help="Only this data set")] = None,
    profile: Annotated[str | None, typer.Option(help="Only this profile of the recipes")] = None,
    sweep: Annotated[str | None, typer.Option(help="Only this sweep's trials")] = None,
    json: Json = False,
) -> None:
    """Say of each claim whether it is supported, refuted or undecided at this n and scale.

    A sentence each, by one rule, with effect, interval, n and what would decide it.
    """
    from rich.console import Console

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import lookup
    from lcma.harness.report import verdicts as reports
    from lcma.harness.report.choices import require_results
    from lcma.harness.report.text import to_json

    store = connect(place.find(db, None, None).db, create=False)
    sweep_id = None if sweep is None else lookup.find_sweep(store, sweep).id
    filters = {"flow": flow, "dataset": dataset, "profile": profile}
    wanted = {name: value for name, value in filters.items() if value is not None}
    require_results(store, sweep_id, wanted)
    found = reports.read(store, sweep_id=sweep_id, **wanted)
    if json:
        print(to_json(reports.as_dict(found)))
    else:
        Console().print(reports.render(found))
