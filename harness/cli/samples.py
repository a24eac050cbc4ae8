"""`lcma samples`: pictures of samples of trained flows, and of ways between two test images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcma.harness.cli.options import (
    Data,
    Db,
    Json,
    Out,
    Picture,
    RowSelection,
    Runs,
    Trial,
    choose_rows,
    note_last_sweep,
    selecting,
)
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.db import JobFacts
    from lcma.harness.train.interpolation import Interpolation


@selecting()
def samples(
    trial: Trial = None,
    *,
    selection: RowSelection,
    count: Annotated[int, typer.Option(min=1, max=4096, help="Images of a grid")] = 64,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="Factor of the noise of every prior")
    ] = 1.0,
    noise_seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the noise")] = 0,
    between: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="I J", help="Interpolate between these two test images (the first is 0)"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="With --between: images of a row, including the ends (9)")
    ] = None,
    out: Out = None,
    format: Picture = None,
    db: Db = None,
    runs: Runs = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Draw samples of trained flows, a grid of images for each flow.

    Without TRIAL, draw every trial that the options select, or else each
    factorization of the sweep (default: the one launched last) with its first
    trained seed. With --between, draw a row of images instead that interpolates
    between two test images in latent space.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.trials import choose_drawn_trials, describe_trial, trial_as_dict
    from lcma.harness.show.targets import picture_target
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import printable, to_json

    grid_options = {
        "--count": count != 64,
        "--temperature": temperature != 1,
        "--noise-seed": noise_seed,
    }
    for option in (name for name, used in grid_options.items() if used and between is not None):
        raise UserError(f"{option} and --between exclude each other: leave one out")
    if steps is not None and between is None:
        raise UserError("--steps needs two test images: give --between I J too")
    place = find_place(db, runs, data)
    target = picture_target(out, format)
    store = connect(place.db, create=False)
    sweep_id, filters = choose_rows(store, selection)
    trials, note = choose_drawn_trials(store, trial, sweep_id, filters)
    if note:
        print_error(note)

    from lcma.harness.measure.weights import require_weights
    from lcma.harness.show.samples import draw_interpolations, draw_samples

    for job in trials:  # before the first is drawn
        require_weights(store, place, job)
    drawn: list[tuple[JobFacts, Path, Interpolation | None]]
    settings: dict[str, float]
    if between is not None:
        steps = 9 if steps is None else steps
        first, last = between
        settings = {"from": first, "to": last, "steps": steps}
        drawn = [*draw_interpolations(store, place, trials, target, between=between, steps=steps)]
    else:
        settings = {"count": count, "temperature": temperature, "sample_seed": noise_seed}
        grids = draw_samples(
            *(store, place, trials, target), count=count, temperature=temperature, seed=noise_seed
        )
        drawn = [(job, path, None) for job, path in grids]
    if trial is None and sweep_id is None and not filters:
        note_last_sweep(store)
    if json:
        facts = (trial_as_dict(job) | settings | _as_record(path, row) for job, path, row in drawn)
        print(to_json(list(facts)))
        return
    console = Console()
    for job, path, row in drawn:
        line = f"{printable(describe_trial(job))}: {path}"
        if row is not None and row.iterations is not None:
            verb = "at most" if row.settled else "stopped after"
            line += f" (inverse: {verb} {row.iterations} iterations)"
        console.print(Text(line), soft_wrap=True)


def _as_record(path: Path, row: "Interpolation | None") -> dict[str, Any]:
    if row is None:
        return {"grid": str(path)}
    return {"row": str(path), "inverse_iterations": row.iterations, "settled": row.settled}
