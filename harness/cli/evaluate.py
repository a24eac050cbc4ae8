"""`lcma evaluate`: kept weights, evaluated by another protocol without training."""

from typing import Annotated, Literal

import typer

from lcma.harness.cli.options import Data, Json, OwnDb, Runs, Sweep, Trial, choose_sweep
from lcma.sweeps.errors import UserError


def evaluate(
    trial: Trial = None,
    protocol: Annotated[
        Literal["published", "plain"],
        typer.Option(help="That of the flow's paper, or the ranked one"),
    ] = "published",
    sweep: Sweep = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Draws of the bound beside `plain`"),
    ] = None,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Evaluate kept weights by a protocol. What is there already is not evaluated again.

    Without a trial, evaluate every trial of the sweep (launched last) that has
    weights.
    """
    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.evaluations import describe_evaluation, evaluation_as_dict
    from lcma.harness.results.trials import (
        choose_trials,
        describe_trial,
        list_trials_with_weights,
        no_weights_error,
    )
    from lcma.harness.run.driver import new_owner
    from lcma.harness.run.reevaluation import reevaluate, require_weights_and_images
    from lcma.harness.terminal import Console, reporting_progress
    from lcma.harness.text import to_json

    if draws is not None and protocol != "plain":
        raise UserError("--draws is a number beside `plain`: give --protocol plain with it")
    place = find_place(db, runs, data, write=True, of_weights=True)
    store = connect(place.db, create=False)
    if trial is not None:
        chosen = choose_trials(store, trial, sweep)
    else:
        found = choose_sweep(store, sweep)
        chosen = list_trials_with_weights(store, found.id)
        if not chosen:
            raise no_weights_error(store, found, newest=sweep is None)
    require_weights_and_images(store, place, chosen, protocol)
    owner, evaluations = new_owner(), []
    with reporting_progress() as report:
        for number, one in enumerate(chosen, start=1):
            images = f"trial {number} of {len(chosen)} ({describe_trial(one)}), images"
            progress = partial(report, images)
            evaluations.append(
                reevaluate(store, place, one, protocol, owner=owner, draws=draws, progress=progress)
            )
    if json:
        print(to_json(list(map(evaluation_as_dict, evaluations))))
        return
    console = Console()
    for evaluation in evaluations:
        console.print(Text(describe_evaluation(evaluation)), soft_wrap=True)
