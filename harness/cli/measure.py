"""`lcma measure`: measures of kept weights, without training."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from lcma.harness.cli.options import Data, Json, OwnDb, Runs, Sweep, Trial, Where
from lcma.sweeps.errors import UserError


def measure(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="swd, kid, fid, or a plug-in's measure")
    ],
    trial: Trial = None,
    where: Where = None,
    sweep: Sweep = None,
    samples: Annotated[
        int | None,
        typer.Option(
            min=20,
            max=100_000,
            metavar="N",
            help="Samples, and real images (swd 500, kid 2000, fid 5000)",
        ),
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
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Measure on the nodes of this Ray cluster"),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --ray: GPUs of a task [1 if trained on one]"),
    ] = None,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="With --ray: on hosts with other code too")
    ] = False,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure kept weights, without training. What is there already stays.

    Without a trial, measure every trial of the sweep (launched last), or every one
    that --where chooses.
    """
    from contextlib import AbstractContextManager, nullcontext
    from functools import partial

    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.report.evaluations import describe_samples, evaluation_as_dict
    from lcma.harness.results.board import list_sample_notes
    from lcma.harness.results.filters import parse_filters
    from lcma.harness.results.trials import choose_trials_with_results
    from lcma.harness.run.measuring import (
        find_measurable,
        list_other_samples,
        make_measurement,
        measure_on_cluster,
        measure_trials,
    )
    from lcma.harness.terminal import Console, print_error, reporting_progress
    from lcma.harness.text import printable, to_json
    from lcma.sweeps import known_sets
    from lcma.sweeps.measures import find_measure

    if ray is None and (gpus is not None or any_code):
        raise UserError("--gpus and --any-code are of tasks on a cluster: give --ray ADDRESS too")
    filters = parse_filters(where or ())
    asked = {
        "samples": samples,
        "temperature": temperature,
        "extractor": extractor,
        "weights_file": weights and weights.absolute(),
        "sha256": sha256,
    }
    measurement = make_measurement(name, **asked)
    place = find_place(db, runs, data, write=True, of_weights=True)
    store = connect(place.db, create=False)
    store.require_same_measures()
    chosen = choose_trials_with_results(store, trial, sweep, filters)
    able, reasons = find_measurable(store, place, chosen, measurement)
    for reason in reasons:
        print_error(reason)
    with reporting_progress() as report:
        progress = partial(report, f"measuring {name}, trials")

        def stage(what: str) -> AbstractContextManager[None]:
            report(what, 0, None)
            return nullcontext()

        if ray is None:
            found, failures = measure_trials(store, place, able, measurement, progress)
        else:
            with _ending_early():
                found, failures = measure_on_cluster(
                    store,
                    place,
                    able,
                    name,
                    asked,
                    ray=ray,
                    gpus=gpus,
                    any_code=any_code,
                    stage=stage,
                    progress=progress,
                )
    for reason in failures:
        print_error(reason)
    if json:
        print(to_json(list(map(evaluation_as_dict, found))))
    else:
        console, notes = Console(), dict[str, list[str]]()
        for one in found:
            line = describe_samples(name, one.trial, one.result, new=one.new)
            console.print(Text(line), soft_wrap=True)
            beside = {m.name: m for m in one.result.measures if "overflow" not in m.name}
            set_name = known_sets.set_name(one.trial.dataset, one.trial.variant)
            notes[set_name] = list(list_sample_notes(find_measure(name), beside))
        for set_name, lines in notes.items():
            for line in lines:
                console.print(Text(printable(f"{set_name}: {line}")), soft_wrap=True)
        digests = {one.trial.data_digest for one in found}
        if others := list_other_samples(store, measurement, digests):
            counts = " and ".join(f"{count:,}" for count in others)
            line = (
                f"Other results on these data have {name} by {counts} samples, in tables of their "
                f"own: --samples {others[-1]} puts these beside them."
            )
            console.print(line, soft_wrap=True, highlight=False)
    if reasons or failures:
        raise typer.Exit(1)


@contextmanager
def _ending_early() -> Iterator[None]:
    """Exit with the code for it when the cluster is lost or a signal comes; say how to go on."""
    from lcma.harness.cli.launching import CLUSTER_LOST
    from lcma.harness.run.executor import ClusterLostError
    from lcma.harness.run.workers import LaunchInterrupted
    from lcma.harness.terminal import print_error

    go_on = "what was measured is stored, and the same command goes on"
    try:
        yield
    except ClusterLostError as error:
        print_error(f"{error}; {go_on}")
        sys.stdout.flush()
        os._exit(CLUSTER_LOST)  # Ray's own end would wait for what is lost, and abort
    except LaunchInterrupted as error:
        print_error(f"interrupted; {go_on}")
        sys.exit(128 + error.number)
