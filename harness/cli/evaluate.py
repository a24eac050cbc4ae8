"""`lcma evaluate`: the weights that were kept, by another protocol, without training."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Data, Db, Json, Runs, Sweep, Trial
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.harness.run.reevaluation import Reevaluated


class Protocol(StrEnum):
    """The protocols that can be asked for."""

    published = "published"
    plain = "plain"


def evaluate(
    trial: Trial = None,
    protocol: Annotated[
        Protocol, typer.Option(help="That of the flow's paper, or the ranked one")
    ] = Protocol.published,
    sweep: Sweep = None,
    draws: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Draws of the bound beside `plain`"),
    ] = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Evaluate kept weights by a protocol. What is there already is not evaluated again.

    Without a trial: every trial of the sweep (the newest) that has weights.
    """
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_sweep
    from lcma.harness.results.trials import (
        choose_trials,
        describe_trial,
        list_trials_with_weights,
        no_weights_error,
    )
    from lcma.harness.run.driver import new_owner
    from lcma.harness.run.reevaluation import Reevaluated, reevaluate, require_weights
    from lcma.harness.text import to_json

    if draws is not None and protocol is not Protocol.plain:
        raise UserError("--draws is a number beside `plain`: give --protocol plain with it")
    where = find_place(db, runs, data)
    store = connect(where.db, create=False)
    if trial is not None:
        chosen = choose_trials(store, trial, sweep)
    else:
        asked = find_sweep(store, sweep)
        chosen = list_trials_with_weights(store, asked.id)
        if not chosen:
            raise no_weights_error(asked, newest=sweep is None)
    require_weights(store, where, chosen, protocol.value)
    owner, found = new_owner(), list[Reevaluated]()
    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bar:
        whole = bar.add_task("trials", total=len(chosen))
        inner = bar.add_task("images", total=None)
        for one in chosen:

            def progress(done: int, total: int) -> None:
                bar.update(inner, completed=done, total=total)

            bar.reset(inner, description=describe_trial(one), total=None)
            found.append(
                reevaluate(
                    store,
                    where,
                    one,
                    protocol.value,
                    owner=owner,
                    draws=draws,
                    progress=progress,
                )
            )
            bar.advance(whole)
    if json:
        print(to_json([asdict(f.trial) | asdict(f.result) | {"new": f.new} for f in found]))
        return
    console = Console()
    for each in found:
        console.print(Text(_line(each)), soft_wrap=True)


def _line(one: "Reevaluated") -> str:
    from lcma.harness.results.trials import describe_trial
    from lcma.harness.text import format_number, printable

    result = one.result
    said = [f"{result.protocol} {format_number(result.bits_per_dim)}"]
    if result.standard_error is not None:
        said[0] += f" \u00b1 {format_number(result.standard_error)}"
    said[0] += " bits/dim"
    if result.bound_bits_per_dim is not None and result.bound_gain is not None:
        said.append(
            f"K={result.bound_draws} bound {format_number(result.bound_bits_per_dim)} on "
            f"{result.bound_images} images ({format_number(-result.bound_gain, 5, sign=True)})"
        )
    if result.series_terms is not None:
        said.append(f"{result.series_terms} terms")
    if result.series_bias is not None:
        said[-1] += f": {format_number(result.series_bias, 5, sign=True)}"
        if result.series_bias_standard_error is not None:
            said[-1] += f" \u00b1 {format_number(result.series_bias_standard_error, 5)}"
        said[-1] += f" over {2 * (result.series_terms or 0)}"
    there = "" if one.new else " (there already)"
    return f"{printable(describe_trial(one.trial))}: {printable('; '.join(said))}{there}"
