"""`lcma data`: prepare, show and check image data sets."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Json, parse_folder
from lcma.sweeps.errors import UserError

app = typer.Typer(help="Prepare, show and check image data sets.", no_args_is_help=True)


@app.command("list")
def list_sets(data: Data = None, json: Json = False) -> None:
    """List the data sets that can be prepared and those that are, including your own."""
    from lcma.harness.place import find_place
    from lcma.harness.show.data_sets import (
        describe_data_sets,
        read_data_sets,
        tabulate_prepared_sets,
    )
    from lcma.harness.show.tables import render_table
    from lcma.harness.terminal import Console, print_line
    from lcma.harness.text import to_json

    root = find_place(None, None, data).data
    rows = read_data_sets(root)
    if json:
        print(to_json(rows))
        return
    table = tabulate_prepared_sets(rows, root)
    if table.rows:
        Console().print(render_table(table))
    for line in describe_data_sets(rows):
        print_line(line)


@app.command()
def prepare(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A set (`lcma data list`, or such as cifar10-16), or with --size a new name",
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="The official files, or the folder of your images",
            parser=parse_folder,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--to",
            "--data",
            metavar="DIR",
            help="Folder of data sets [LCMA_DATA, lcma-data]",
            parser=parse_folder,
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="S", help="Your own images: shrink them to S x S")
    ] = None,
    grey_to_rgb: Annotated[
        bool, typer.Option("--grey-to-rgb", help="Your own images: convert grey ones to RGB")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out unreadable images, and list them")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Download CIFAR-10 with torchvision")
    ] = False,
    json: Json = False,
) -> None:
    """Convert a data set into memory-mapped arrays with a manifest, once."""
    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.cifar10 import Cifar10, fetch_cifar10
    from lcma.harness.data.registry import find_set
    from lcma.harness.place import find_place
    from lcma.harness.show.data_sets import describe_set
    from lcma.harness.terminal import Console, print_line, reporting_progress, silencing_libraries
    from lcma.harness.text import to_json

    root = find_place(None, None, data).data
    if download:
        if source is not None or size is not None or grey_to_rgb or skip_bad:
            raise UserError("--download takes none of --from and its options: leave them out")
        if not isinstance((found := find_set(name).source), Cifar10):
            remedy = "give its files with --from PATH" if found.needs_path else "it needs no files"
            raise UserError(f"{name} cannot be downloaded: {remedy}")
        source = None if (root / name).exists() else fetch_cifar10(root)
    console = Console(stderr=True)
    with reporting_progress(console) as report:

        def progress(label: str, done: int, total: int) -> None:
            report(f"{name}: {label}", done, total)

        with silencing_libraries():
            prepared = lcma.harness.data.prepare(
                name,
                root,
                source=source,
                options=lcma.harness.data.SourceOptions(
                    skip_bad=skip_bad, size=size, grey_to_rgb=grey_to_rgb
                ),
                progress=progress,
                waiting=lambda: console.print(
                    f"another process is preparing {name}: waiting for it"
                ),
            )
        bars = ensure_bars(prepared, progress)
    if json:
        print(to_json(prepared.manifest.model_dump(mode="json")))
        return
    for line in (*describe_set(prepared.manifest, bars), f"prepared in {prepared.folder}"):
        print_line(line)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A prepared data set")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Contact sheet: .png, .svg or .pdf (default: lcma-pictures/NAME.png)",
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Describe a prepared data set and draw a contact sheet of its images."""
    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.inspection import inspect_set
    from lcma.harness.place import find_place
    from lcma.harness.show.data_sets import describe_set, set_as_dict, tabulate_channels
    from lcma.harness.show.grids import draw_contact_sheet
    from lcma.harness.show.tables import render_table
    from lcma.harness.show.targets import FOLDER, require_picture
    from lcma.harness.terminal import Console, print_line, reporting_progress
    from lcma.harness.text import to_json

    if out is not None:
        require_picture(out)
    prepared = lcma.harness.data.load(name, find_place(None, None, data).data)
    with reporting_progress() as progress:
        picture = draw_contact_sheet(prepared, out or FOLDER / f"{name}.png")
        inspection = inspect_set(prepared, progress)
        bars = ensure_bars(prepared, progress)
    if json:
        print(to_json(set_as_dict(prepared.manifest, inspection, bars, picture)))
        return
    for line in describe_set(prepared.manifest, bars, inspection.copies):
        print_line(line)
    Console().print(render_table(tabulate_channels(inspection)))
    print_line(f"contact sheet: {picture}")


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A prepared data set (default: all)")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Hash the files of prepared data sets again and compare the hashes with their manifests.

    Exit code 2 if a file is damaged.
    """
    import lcma.harness.data
    from lcma.harness.place import find_place
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import to_json

    root = find_place(None, None, data).data
    sets = lcma.harness.data.list_sets(root)
    names = [known.name for known in sets if (root / known.name).exists()]
    if name is not None and name not in names:
        lcma.harness.data.load(name, root)  # says why there is none, before anything is printed
    names = names if name is None else [name]
    if not names:
        raise UserError(
            f"no data set is prepared in {root}: `lcma data list` shows what can be prepared"
        )
    intact, damaged = [], []
    with reporting_progress() as report:
        for set_name in names:
            try:
                prepared = lcma.harness.data.load(set_name, root)
                prepared.verify(partial(report, f"{set_name}, bytes"))
            except UserError as error:
                damaged.append(str(error))
            else:
                intact.append({"name": set_name, "digest": prepared.manifest.digest})
    if json:
        print(to_json({"intact": intact, "damaged": damaged}))
    else:
        for row in intact:
            print_line(f"{row['name']} is intact: {row['digest']}")
    if damaged:
        raise UserError("; ".join(damaged))
