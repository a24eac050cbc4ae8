"""lcma data"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import data_list, data_show, data_verify
from harness.cli.options import Json

if TYPE_CHECKING:
    from harness.data.bars import Bar

app = typer.Typer(
    help="Prepare image data sets, look at them, and check them.", no_args_is_help=True
)


app.command("list")(data_list.list_sets)
app.command()(data_show.show)
app.command()(data_verify.verify)


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A name that `lcma data list` shows")],
    source: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="Where the official files lie")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--to", "--data", metavar="DIR", help="Root of data sets [LCMA_DATA]"),
    ] = None,
    json: Json = False,
) -> None:
    """Read a data set once into memory-mapped arrays with a manifest."""
    from rich.console import Console
    from rich.progress import Progress

    import harness.data
    from harness import place
    from harness.data import bars

    root = place.find(None, None, data).data
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"preparing {name}")

        def progress(file: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{name}: {file}")

        prepared = harness.data.prepare(name, root, source=source, progress=progress)
        found = bars.ensure(prepared, progress)
    manifest = prepared.manifest
    if json:
        print(manifest.model_dump_json(indent=2))
        return
    counts = manifest.counts
    print(
        f"{name}: {counts.train} train, {counts.holdout} holdout and {counts.test} test images "
        f"of {'x'.join(map(str, manifest.shape))} in {prepared.folder}\n"
        f"source: {manifest.source.layout}, {manifest.source.verdict}\n"
        f"digest: {manifest.digest}\n"
        f"to beat: {_to_beat(found)}\n"
        f"Next: lcma plan demo --dataset {name}"
    )


def _to_beat(bars: "tuple[Bar, ...]") -> str:
    known = [f"{b.name} {b.bits_per_dim:.3f}" for b in bars if b.bits_per_dim is not None]
    return ", ".join(known) + " bits/dim on the test part"
