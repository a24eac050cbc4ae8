"""`lcma measure`: measures of samples of kept weights, without training."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lcma.harness.cli.options import Data, Db, Json, Runs, Sweep, Trial


def measure(
    name: Annotated[str, typer.Argument(metavar="NAME", help="swd, kid or fid")],
    trial: Trial = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Trials with a result that has this value in a column of trial_results; "
            "repeatable",
        ),
    ] = None,
    sweep: Sweep = None,
    samples: Annotated[
        int | None, typer.Option(min=20, max=100_000, help="Samples, and real images [500]")
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Factor of the noise of every prior")
    ] = 1.0,
    extractor: Annotated[
        Literal["efficientnet-lite0", "inception-v3"] | None,
        typer.Option(help="What sees features (kid: efficientnet-lite0, fid: inception-v3)"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your file of weights of inception-v3"),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HASH", help="The sha256 that this file must have")
    ] = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure samples of kept weights. What is there already is not measured again.

    Without a trial, measure every trial of the sweep (the newest), or every one
    that --where chooses.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.evaluations import describe_samples, evaluation_as_dict
    from lcma.harness.report.export import parse_filters
    from lcma.harness.results.board import list_sample_notes
    from lcma.harness.results.trials import (
        choose_trials_with_results,
        describe_trial,
    )
    from lcma.harness.run.driver import new_owner
    from lcma.harness.run.measuring import find_measurable, make_measurement, measure_trial
    from lcma.harness.terminal import Console, print_error, reporting_progress
    from lcma.harness.text import printable, to_json
    from lcma.sweeps import known_sets
    from lcma.sweeps.measures import find_measure

    filters = parse_filters(where or ())
    measurement = make_measurement(
        name,
        samples=samples,
        temperature=temperature,
        extractor=extractor,
        weights_file=weights,
        sha256=sha256,
    )
    place = find_place(db, runs, data, write=True)
    store = connect(place.db, create=False)
    store.require_same_measures()
    chosen = choose_trials_with_results(store, trial, sweep, filters)
    able, reason = find_measurable(store, place, chosen, measurement)
    if reason is not None:
        print_error(reason)
    owner, found = new_owner(), []
    with reporting_progress() as report:
        for done, one in enumerate(able):
            report(f"{name} of {describe_trial(one)}, trials", done, len(able))
            found.append(measure_trial(store, place, one, measurement, owner=owner))
    if json:
        print(to_json(list(map(evaluation_as_dict, found))))
        return
    console, notes = Console(), dict[str, list[str]]()
    for measured in found:
        line = describe_samples(name, measured.trial, measured.result, new=measured.new)
        console.print(Text(line), soft_wrap=True)
        beside = {one.name: one for one in measured.result.measures if "overflow" not in one.name}
        set_name = known_sets.set_name(measured.trial.dataset, measured.trial.variant)
        notes[set_name] = list(list_sample_notes(find_measure(name), beside))
    for set_name, lines in notes.items():
        for line in lines:
            console.print(Text(printable(f"{set_name}: {line}")), soft_wrap=True)
