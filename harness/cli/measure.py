"""`lcma measure`: measures of kept weights, without training."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lcma.harness.cli.options import (
    Data,
    Datasets,
    Factorizations,
    Flows,
    Json,
    OwnDb,
    Runs,
    Seeds,
    Sweep,
    Where,
    choose_rows,
)
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM, FID, HELD_OUT, KID, OF_SAMPLES, name_overflow

if TYPE_CHECKING:
    from lcma.db import Measurement
    from lcma.harness.launch.measuring import Measured


def measure(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="swd, kid, fid, a plug-in's measure, or bits_per_dim (the default with --protocol "
            "or --draws)",
        ),
    ] = None,
    protocol: Annotated[
        Literal["published", "plain"] | None,
        typer.Option(help="Of bits_per_dim: that of the flow's paper, or the ranked one (plain)"),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Of bits_per_dim: draws of the bound beside plain"),
    ] = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
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
        float | None, typer.Option(min=0.0, help="Factor of the noise of every prior [1]")
    ] = None,
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
    """Measure kept weights, without training. Stored values stay.

    Measure every trial with a result that the options choose, or all of the
    sweep launched last: lcma measure swd kid, lcma measure --protocol published.
    """
    from contextlib import AbstractContextManager, nullcontext

    from lcma.db import connect
    from lcma.db.results import require_same_measures
    from lcma.harness.launch.measuring import measure_trials
    from lcma.harness.measure.registry import make_measure
    from lcma.harness.place import find_place
    from lcma.harness.results.trials import choose_trials_with_results
    from lcma.harness.terminal import print_error, print_line, reporting_progress
    from lcma.harness.text import to_json
    from lcma.sweeps.measures import list_measures

    if ray is None and (gpus is not None or any_code):
        raise UserError("--gpus and --any-code are of tasks on a cluster: give --ray ADDRESS too")
    given: dict[str, Any] = {
        "protocol": protocol,
        "draws": draws,
        "samples": samples,
        "temperature": temperature,
        "extractor": extractor,
        "weights": weights and weights.absolute(),
        "sha256": sha256,
    }
    options = {name: value for name, value in given.items() if value is not None}
    wanted = _choose_measures(names or [], options)
    for name in wanted:  # before the database is opened
        make_measure(name, **options)
    place = find_place(db, runs, data, write=True, of_weights=True)
    store = connect(place.db, create=False)
    require_same_measures(store.measure_kinds(), list_measures())
    sweep_id, filters = choose_rows(
        store, sweep, where, flow=flow, dataset=dataset, factorization=factorization, seed=seed
    )
    chosen = choose_trials_with_results(store, None, sweep_id, filters)
    with reporting_progress() as report, _ending_early():

        def stage(what: str) -> AbstractContextManager[None]:
            report(what, 0, None)
            return nullcontext()

        found, failures = measure_trials(
            *(store, place, chosen, wanted, options),
            ray=ray,
            gpus=gpus,
            any_code=any_code,
            stage=stage,
            report=report,
        )
    for failure in failures:
        print_error(failure)
    if json:
        print(to_json([_as_record(one) for some in found.values() for one in some]))
    else:
        for name, some in found.items():
            for one in some:
                print_line(_describe(name, one))
    if failures:
        raise typer.Exit(1)


_OPTIONS = {
    "protocol": (BITS_PER_DIM,),
    "draws": (BITS_PER_DIM,),
    "samples": OF_SAMPLES,
    "temperature": OF_SAMPLES,
    "extractor": (KID, FID),
    "weights": (KID, FID),
    "sha256": (KID, FID),
}
"""The measures that have an option."""


def _choose_measures(names: list[str], options: dict[str, Any]) -> list[str]:
    """Return the measures to take. Raises UserError for options that none of them has."""
    if not names and not {"protocol", "draws"} & options.keys():
        raise UserError("nothing says what to measure: swd, kid, fid, or --protocol published")
    wanted = list(dict.fromkeys(names or [BITS_PER_DIM]))
    for option in options:
        if not {*wanted} & {*_OPTIONS[option]}:
            have = " and ".join(_OPTIONS[option])
            raise UserError(f"--{option} is of {have}: name one that has it, or leave it out")
    if "draws" in options and options.get("protocol") == "published":
        raise UserError("--draws is a number beside plain: leave --protocol published out")
    return wanted


_BESIDE = {
    BITS_PER_DIM: ("series_terms", "series_bias", "bound_draws", "bound_bits_per_dim", "bound_gain")
}
"""What is printed of a result beside a measure, if it is there."""


def _describe(name: str, one: "Measured") -> str:
    """Return a trial's measure, that of its holdout part, and what stands beside it."""
    from lcma.harness.results.trials import describe_trial

    numbers = {measure.name: measure for measure in one.result.measures}
    shown = (name, HELD_OUT + name, *_BESIDE.get(name, ()), name_overflow(name))
    found = filter(None, map(numbers.get, shown))
    facts = "; ".join(_describe_number(number) for number in found if number.value)
    there = "" if one.new else " (there already)"
    return f"{describe_trial(one.trial)}, by {one.result.protocol}: {facts}{there}"


def _as_record(one: "Measured") -> dict[str, Any]:
    """Return the trial, its result with measures by name, and whether it is new."""
    from dataclasses import asdict

    from lcma.harness.results.trials import trial_as_dict

    measures = {measure.name: asdict(measure) for measure in one.result.measures}
    facts = trial_as_dict(one.trial) | asdict(one.result)
    return facts | {"measures": measures, "new": one.new}


def _describe_number(number: "Measurement") -> str:
    error = "" if number.standard_error is None else f" \u00b1 {number.standard_error:.2g}"
    over = "" if number.images is None else f" on {number.images:,} images"
    return f"{number.name} {number.value:.6g}{error}{over}"


@contextmanager
def _ending_early() -> Iterator[None]:
    """Exit with the code for it when the cluster is lost or a signal comes; say how to go on."""
    from lcma.harness.cli.launching import CLUSTER_LOST
    from lcma.harness.launch.executor import ClusterLostError
    from lcma.harness.launch.workers import LaunchInterrupted
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
