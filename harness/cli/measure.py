"""`lcma measure`: measures of kept weights, without training."""

import os
import sys
from collections.abc import Iterator, Mapping
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
from lcma.sweeps.measures import BITS_PER_DIM, HELD_OUT, OF_SAMPLES, name_overflow

if TYPE_CHECKING:
    from lcma.db import Measurement
    from lcma.harness.work.reevaluation import Reevaluated


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

    Measure every trial with a result that the options choose, or all of the
    sweep launched last: lcma measure swd kid, lcma measure --protocol published.
    """
    from contextlib import AbstractContextManager, nullcontext

    from lcma.db import connect
    from lcma.db.results import require_same_measures
    from lcma.harness.launch.measuring import (
        find_measurable,
        list_other_samples,
        make_measurement,
        measure_on_cluster,
        measure_trials,
    )
    from lcma.harness.place import find_place
    from lcma.harness.results.trials import choose_trials_with_results
    from lcma.harness.terminal import print_error, reporting_progress
    from lcma.harness.text import to_json
    from lcma.sweeps.measures import list_measures

    if ray is None and (gpus is not None or any_code):
        raise UserError("--gpus and --any-code are of tasks on a cluster: give --ray ADDRESS too")
    of_samples = {
        "samples": samples,
        "temperature": temperature,
        "extractor": extractor,
        "weights_file": weights and weights.absolute(),
        "sha256": sha256,
    }
    of_likelihood = {"protocol": protocol or "plain", "draws": draws}
    wanted = _choose_measures(names or [], protocol, draws, of_samples)
    options = {name: of_likelihood if name == BITS_PER_DIM else of_samples for name in wanted}
    measurements = {name: make_measurement(name, **options[name]) for name in wanted}
    place = find_place(db, runs, data, write=True, of_weights=True)
    store = connect(place.db, create=False)
    require_same_measures(store.measure_kinds(), list_measures())
    sweep_id, filters = choose_rows(
        store, sweep, where, flow=flow, dataset=dataset, factorization=factorization, seed=seed
    )
    chosen = choose_trials_with_results(store, None, sweep_id, filters)
    able, lacking = {}, False
    for name, measurement in measurements.items():
        able[name], reasons = find_measurable(store, place, chosen, measurement)
        for reason in reasons:
            print_error(reason)
        lacking = lacking or bool(reasons)
    found: dict[str, list[Reevaluated]] = {}
    with reporting_progress() as report:

        def stage(what: str) -> AbstractContextManager[None]:
            report(what, 0, None)
            return nullcontext()

        for name, measurement in measurements.items():
            if ray is None:
                found[name], failures = measure_trials(
                    store, place, able[name], measurement, report
                )
            else:
                with _ending_early():
                    found[name], failures = measure_on_cluster(
                        store,
                        place,
                        able[name],
                        name,
                        options[name],
                        ray=ray,
                        gpus=gpus,
                        any_code=any_code,
                        stage=stage,
                        report=report,
                    )
            for reason in failures:
                print_error(reason)
            lacking = lacking or bool(failures)
    if json:
        print(to_json([_as_record(one) for some in found.values() for one in some]))
    else:
        for name, some in found.items():
            digests = {one.trial.data_digest for one in some}
            _print_measured(name, some, list_other_samples(store, measurements[name], digests))
    if lacking:
        raise typer.Exit(1)


def _choose_measures(
    names: list[str], protocol: str | None, draws: int | None, of_samples: dict[str, Any]
) -> list[str]:
    """Return the measures to take. Raises UserError for options that none of them has."""
    if not names and protocol is None and draws is None:
        raise UserError("nothing says what to measure: swd, kid, fid, or --protocol published")
    wanted = list(dict.fromkeys(names or [BITS_PER_DIM]))
    if BITS_PER_DIM not in wanted and (protocol is not None or draws is not None):
        raise UserError(f"--protocol and --draws are of {BITS_PER_DIM}: name that too")
    if draws is not None and protocol == "published":
        raise UserError("--draws is a number beside plain: leave --protocol published out")
    given = [name for name, value in of_samples.items() if value not in (None, 1.0)]
    if given and wanted == [BITS_PER_DIM]:
        option = given[0].removesuffix("_file")
        raise UserError(f"--{option} is of measures of samples: name one, such as swd")
    return wanted


def _print_measured(name: str, found: "list[Reevaluated]", others: list[int]) -> None:
    from rich.text import Text

    from lcma.harness.results.trials import describe_trial
    from lcma.harness.show.notes import list_sample_notes
    from lcma.harness.terminal import Console
    from lcma.harness.text import printable
    from lcma.sweeps import known_sets

    console, notes = Console(), dict[str, list[str]]()
    for one in found:
        measures = {measure.name: measure for measure in one.result.measures}
        of_bits = name == BITS_PER_DIM
        facts = _describe_bits(one, measures) if of_bits else _describe_samples(name, measures)
        there = "" if one.new else " (there already)"
        line = f"{describe_trial(one.trial)}: {'; '.join(facts)}{there}"
        console.print(Text(printable(line)), soft_wrap=True)
        if of_bits:
            continue
        beside = {key: m for key, m in measures.items() if "overflow" not in key}
        set_name = known_sets.set_name(one.trial.dataset, one.trial.variant)
        notes[set_name] = list(list_sample_notes(name, beside))
    for set_name, lines in notes.items():
        for line in lines:
            console.print(Text(printable(f"{set_name}: {line}")), soft_wrap=True)
    if others:
        counts = " and ".join(f"{count:,}" for count in others)
        line = (
            f"Other results on these data have {name} by {counts} samples, in tables of their "
            f"own: --samples {others[-1]} puts these beside them."
        )
        console.print(line, soft_wrap=True, highlight=False)


def _as_record(one: "Reevaluated") -> dict[str, Any]:
    """Return the trial, its result with measures by name, and whether it is new."""
    from dataclasses import asdict

    from lcma.harness.results.trials import trial_as_dict

    measures = {measure.name: asdict(measure) for measure in one.result.measures}
    facts = trial_as_dict(one.trial) | asdict(one.result)
    return facts | {"measures": measures, "new": one.new}


def _describe_bits(one: "Reevaluated", measures: "Mapping[str, Measurement]") -> Iterator[str]:
    """Yield protocol and bits/dim, bound, and series terms."""
    from lcma.harness.text import format_number

    yield f"{one.result.protocol} {_show(measures[BITS_PER_DIM])} bits/dim"
    bound, gain = measures.get("bound_bits_per_dim"), measures.get("bound_gain")
    if bound is not None and gain is not None:
        yield (
            f"K={measures['bound_draws'].value:.0f} bound {format_number(bound.value)} on "
            f"{bound.images} images ({format_number(-gain.value, 5, sign=True)})"
        )
    if "series_terms" in measures:
        terms, bias = round(measures["series_terms"].value), measures.get("series_bias")
        over = "" if bias is None else f": {_show(bias, 5, sign=True)} over {2 * terms}"
        yield f"{terms} terms{over}"


def _describe_samples(name: str, measures: "Mapping[str, Measurement]") -> Iterator[str]:
    """Yield the value on both parts, and the overflow.

    A measure of a plug-in is said to be on images, since how many samples it draws is its own.
    """
    of = "samples" if name in OF_SAMPLES else "images"
    yield f"{name} {_show(measures[name])} on {measures[name].images} {of}"
    if HELD_OUT + name in measures:
        yield f"holdout {_show(measures[HELD_OUT + name])}"
    overflow = measures.get(name_overflow(name))
    if overflow is not None and overflow.value:
        yield f"{overflow.value:.0f} of {overflow.images} overflowed"


def _show(measure: "Measurement", digits: int = 4, *, sign: bool = False) -> str:
    from lcma.harness.text import format_number

    text = format_number(measure.value, digits, sign=sign)
    if measure.standard_error is None:
        return text
    return f"{text} \u00b1 {format_number(measure.standard_error, digits)}"


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
