"""`lcma measure`: measures of kept weights, without training."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lcma.harness.cli.options import Data, Json, OwnDb, RowSelection, Runs, choose_rows, selecting
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    FID,
    HOLDOUT_PREFIX,
    KID,
    SAMPLE_MEASURES,
    name_overflow,
)

if TYPE_CHECKING:
    from lcma.db import Measurement
    from lcma.harness.launch.measuring import Measured


@selecting()
def measure(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="swd, kid, fid, a plug-in's measure, or bits_per_dim (the default with --protocol "
            "or --draws)",
        ),
    ] = None,
    protocol: Annotated[
        Literal["published", "plain"] | None,
        typer.Option(help="bits_per_dim: as in the flow's paper, or as on the board (plain)"),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="bits_per_dim: draws of a bound beside plain"),
    ] = None,
    *,
    selection: RowSelection,
    samples: Annotated[
        int | None,
        typer.Option(
            min=20,
            max=100_000,
            metavar="N",
            help="Number of samples, and of real images (swd 500, kid 2000, fid 5000)",
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Factor of the noise of every prior (1)")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="kid, fid: your file with weights of Inception-v3, with --sha256"
        ),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(metavar="HASH", help="sha256 that the file of weights must have")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="ADDRESS", help="Measure on the nodes of this Ray cluster"),
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="With --ray: GPUs of a task (1 if trained on a GPU)"),
    ] = None,
    any_code: Annotated[
        bool, typer.Option("--any-code", help="With --ray: also use hosts with other code")
    ] = False,
    db: OwnDb = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Measure trained flows by their kept weights; stored values of as many draws stay.

    The options select trials with a result; without them these are all of the
    sweep launched last. Examples: lcma measure swd kid, lcma measure --protocol
    published.
    """
    from lcma.sweeps import plugins
    from lcma.sweeps.measures import list_measures, require_kept_measure

    if ray is None and (gpus is not None or any_code):
        raise UserError("--gpus and --any-code need a cluster: give --ray ADDRESS too")
    possible: dict[str, Any] = {
        "protocol": protocol,
        "draws": draws,
        "samples": samples,
        "temperature": temperature,
        "weights": weights and weights.absolute(),
        "sha256": sha256,
    }
    options = {name: value for name, value in possible.items() if value is not None}
    measures = _choose_measures(names or [], options)
    plugins.load_installed()
    for name in measures:
        require_kept_measure(name)

    from lcma.db import connect
    from lcma.db.results import require_same_measures
    from lcma.harness.place import find_place
    from lcma.harness.results.trials import choose_trials_with_results
    from lcma.harness.terminal import print_error, print_line, reporting_progress
    from lcma.harness.text import to_json

    place = find_place(db, runs, data, write=True, needs_weights=True)
    store = connect(place.db, create=False)
    require_same_measures(store.measure_kinds(), list_measures())
    sweep_id, filters = choose_rows(store, selection)
    trials = choose_trials_with_results(store, sweep_id, filters)

    from contextlib import AbstractContextManager, nullcontext

    from lcma.harness.launch.measuring import measure_trials
    from lcma.harness.measure.registry import make_measure

    for name in measures:  # refuses wrong options before the first is measured
        make_measure(name, **options)
    with reporting_progress() as report, _explaining_interruption():

        def stage(part: str) -> AbstractContextManager[None]:
            report(part, 0, None)
            return nullcontext()

        measured, failures = measure_trials(
            *(store, place, trials, measures, options),
            ray=ray,
            gpus=gpus,
            any_code=any_code,
            stage=stage,
            report=report,
        )
    for failure in failures:
        print_error(failure)
    if json:
        print(to_json([_as_record(row) for rows in measured.values() for row in rows]))
    else:
        for name, rows in measured.items():
            for row in rows:
                print_line(_describe_measured(name, row))
    if failures:
        raise typer.Exit(1)


_MEASURES_OF_OPTIONS = {
    "protocol": (BITS_PER_DIM,),
    "draws": (BITS_PER_DIM,),
    "samples": SAMPLE_MEASURES,
    "temperature": SAMPLE_MEASURES,
    "weights": (KID, FID),
    "sha256": (KID, FID),
}
"""The measures that take an option."""


def _choose_measures(names: list[str], options: dict[str, Any]) -> list[str]:
    """Return the names of the measures to take; raise UserError for options that none of them has.

    Options are those of `measure` that were given.
    """
    if not names and not {"protocol", "draws"} & options.keys():
        raise UserError("no measure is named: give swd, kid, fid, or --protocol published")
    measures = list(dict.fromkeys(names or [BITS_PER_DIM]))
    for option in options:
        if not {*measures} & {*_MEASURES_OF_OPTIONS[option]}:
            owners = " and ".join(_MEASURES_OF_OPTIONS[option])
            raise UserError(f"--{option} is of {owners}: name one that has it, or leave it out")
    if "draws" in options and options.get("protocol") == "published":
        raise UserError("--draws adds a bound to plain: leave --protocol published out")
    return measures


_OTHER_NUMBERS = {
    BITS_PER_DIM: ("series_terms", "series_bias", "bound_draws", "bound_bits_per_dim", "bound_gain")
}
"""Other numbers of a result that are printed with a measure, if the result has them."""


def _describe_measured(name: str, measured: "Measured") -> str:
    """Return a line with a trial's measure, that of its holdout part, and numbers with them."""
    from lcma.harness.results.trials import describe_trial

    numbers = {measure.name: measure for measure in measured.result.measures}
    names = (name, HOLDOUT_PREFIX + name, *_OTHER_NUMBERS.get(name, ()), name_overflow(name))
    facts = "; ".join(
        _describe_number(number)
        for number in filter(None, map(numbers.get, names))
        if number.value or number.name != name_overflow(name)
    )
    note = "" if measured.new else " (stored already)"
    return f"{describe_trial(measured.trial)}, by {measured.result.protocol}: {facts}{note}"


def _as_record(measured: "Measured") -> dict[str, Any]:
    """Return the trial, its result with measures by name, and whether it is new."""
    from dataclasses import asdict

    from lcma.harness.results.trials import trial_as_dict

    measures = {measure.name: asdict(measure) for measure in measured.result.measures}
    facts = trial_as_dict(measured.trial) | asdict(measured.result)
    return facts | {"measures": measures, "new": measured.new}


def _describe_number(number: "Measurement") -> str:
    error = "" if number.standard_error is None else f" \u00b1 {number.standard_error:.2g}"
    images = "" if number.images is None else f" on {number.images:,} images"
    return f"{number.name} {number.value:.6g}{error}{images}"


@contextmanager
def _explaining_interruption() -> Iterator[None]:
    """Exit with the right code if the cluster is lost or a signal comes; print how to go on."""
    from lcma.harness.cli.launching import CLUSTER_LOST_CODE
    from lcma.harness.launch.executor import ClusterLostError
    from lcma.harness.launch.workers import LaunchInterrupted
    from lcma.harness.terminal import print_error

    remedy = "the measures so far are stored; run the same command to go on"
    try:
        yield
    except ClusterLostError as error:
        print_error(f"{error}; {remedy}")
        sys.stdout.flush()
        os._exit(CLUSTER_LOST_CODE)  # Ray's own exit would wait for the lost cluster, and abort
    except LaunchInterrupted as error:
        print_error(f"interrupted; {remedy}")
        sys.exit(128 + error.number)
