"""`lcma data show`: what a prepared set holds, in numbers and as a contact sheet."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Json


def show(
    name: Annotated[str, typer.Argument(help="A prepared set")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Contact sheet, .png, .svg or .pdf (default: lcma-pictures/NAME.png)",
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Describe a prepared set and draw a contact sheet of its images."""
    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.inspection import inspect_set
    from lcma.harness.place import find_place
    from lcma.harness.show.data_sets import describe_set, set_as_dict, tabulate_channels
    from lcma.harness.show.grids import draw_contact_sheet
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import FOLDER
    from lcma.harness.terminal import Console, print_line, reporting_progress
    from lcma.harness.text import to_json

    prepared = lcma.harness.data.load(name, find_place(None, None, data).data)
    with reporting_progress() as progress:
        picture = draw_contact_sheet(prepared, out or FOLDER / f"{name}.png")
        found = inspect_set(prepared, progress)
        bars = ensure_bars(prepared, progress)
    if json:
        print(to_json(set_as_dict(prepared.manifest, found, bars, picture)))
        return
    for line in describe_set(prepared.manifest, found, bars):
        print_line(line)
    Console().print(render_table(tabulate_channels(found)))
    print_line(f"contact sheet: {picture}")
