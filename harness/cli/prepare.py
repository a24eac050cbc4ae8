"""`lcma data prepare`: reading a data set once into arrays."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.cli.options import Json


def prepare(
    name: Annotated[
        str, typer.Argument(help="A name that `lcma data list` shows; with --size a new one")
    ],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="Where the official files, or images, lie"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--to", "--data", metavar="DIR", help="Root of data sets [LCMA_DATA]"),
    ] = None,
    size: Annotated[
        int | None, typer.Option(metavar="S", help="Images of your own: shrink to S x S")
    ] = None,
    grey_to_rgb: Annotated[
        bool, typer.Option("--grey-to-rgb", help="Images of your own: grey ones as RGB")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave unreadable images out, and name them")
    ] = False,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch CIFAR-10 (torchvision does it)")
    ] = False,
    json: Json = False,
) -> None:
    """Read a data set once into memory-mapped arrays with a manifest."""
    import time

    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.fetching import fetch_files
    from lcma.harness.place import find_place
    from lcma.harness.show.data_sets import describe_prepared_set
    from lcma.harness.terminal import Console, print_line, reporting_progress, silencing_libraries
    from lcma.harness.text import to_json

    root = find_place(None, None, data).data
    if download:
        source = fetch_files(name, root, source)
    console = Console(stderr=True)
    began: list[float] = []
    with reporting_progress(console) as report:

        def progress(label: str, done: int, total: int) -> None:
            if not began:  # starting takes longer than reading a small set
                began.append(time.perf_counter())
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
                waiting=lambda: console.print(f"another process prepares {name}: waiting for it"),
            )
        seconds = time.perf_counter() - began[0] if began else 0.0
        bars = ensure_bars(prepared, progress)
    if json:
        print(to_json(prepared.manifest.model_dump(mode="json")))
        return
    for line in describe_prepared_set(prepared.manifest, prepared.folder, seconds, bars):
        print_line(line)
