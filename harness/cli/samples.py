"""`lcma samples`: drawing samples from trained flows, and images between two of the test part."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcma.harness.cli.options import (
    Data,
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    Out,
    Picture,
    Runs,
    Seeds,
    Sweep,
    Trial,
    Where,
    choose_rows,
    tell_last_sweep,
)
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db import JobFacts
    from lcma.harness.train.interpolation import Interpolation


def samples(
    trial: Trial = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    count: Annotated[int, typer.Option(min=1, max=4096, help="How many images a grid has")] = 64,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Factor of the noise of every prior")
    ] = 1.0,
    noise_seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise")] = 0,
    between: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="I J", help="Interpolate between these two test images, from 0, instead"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="With --between: images of a row, with both ends (9)")
    ] = None,
    spherical: Annotated[
        bool, typer.Option("--spherical", help="With --between: along an arc, not a straight line")
    ] = False,
    out: Out = None,
    format: Picture = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Draw samples from trained flows, a grid for each, into --out (lcma-pictures).

    Without a trial, draw every one that the options choose, or each factorization
    of the sweep (launched last) at its own first trained seed. With --between,
    interpolate between two test images in latent space, a row for each.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.measure.weights import require_weights
    from lcma.harness.place import find_place
    from lcma.harness.results.trials import choose_drawn_trials, describe_trial, trial_as_dict
    from lcma.harness.show.samples import draw_interpolations, draw_samples
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, to_json

    of_grids = {
        "--count": count != 64,
        "--temperature": temperature != 1,
        "--noise-seed": noise_seed,
    }
    of_rows = {"--steps": steps is not None, "--spherical": spherical}
    for option in (name for name, given in of_grids.items() if given and between is not None):
        raise UserError(f"{option} is of samples, not of the way --between images: leave it out")
    for option in (name for name, given in of_rows.items() if given and between is None):
        raise UserError(f"{option} is of the way between two test images: give --between I J too")
    place = find_place(db, runs, data)
    target = picture_target(out, format)
    store = connect(place.db, create=False)
    sweep_id, filters = choose_rows(
        store, sweep, where, flow=flow, dataset=dataset, factorization=factorization, seed=seed
    )
    chosen, not_drawn = choose_drawn_trials(store, trial, sweep_id, filters)
    if not_drawn:
        print_error(not_drawn)
    for one in chosen:  # before the first is drawn
        require_weights(store, place, one)
    drawn: list[tuple[JobFacts, Path, Interpolation | None]]
    about: dict[str, float]
    if between is not None:
        steps = 9 if steps is None else steps
        first, last = between
        about = {"from": first, "to": last, "steps": steps, "spherical": spherical}
        drawn = [
            *draw_interpolations(
                store, place, chosen, target, between=between, steps=steps, spherical=spherical
            )
        ]
    else:
        about = {"count": count, "temperature": temperature, "sample_seed": noise_seed}
        grids = draw_samples(
            *(store, place, chosen, target), count=count, temperature=temperature, seed=noise_seed
        )
        drawn = [(one, path, None) for one, path in grids]
    if trial is None and sweep_id is None and not filters:
        tell_last_sweep(store)
    if json:
        facts = (trial_as_dict(one) | about | _describe(path, way) for one, path, way in drawn)
        print(to_json(list(facts)))
        return
    console = Console()
    for one, path, way in drawn:
        line = f"{printable(describe_trial(one))}: {path}"
        if way is not None and way.iterations is not None:
            how = "at most" if way.settled else "stopped after"
            line += f" (inverse: {how} {way.iterations} iterations)"
        console.print(Text(line), soft_wrap=True)


def _describe(path: Path, way: "Interpolation | None") -> dict[str, Any]:
    if way is None:
        return {"grid": str(path)}
    return {"row": str(path), "inverse_iterations": way.iterations, "settled": way.settled}
