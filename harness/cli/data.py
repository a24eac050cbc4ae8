"""lcma data"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Data, Json

if TYPE_CHECKING:
    from harness.data.bars import Bar

app = typer.Typer(help="Prepare image data sets, and list them.", no_args_is_help=True)


@app.command("list")
def list_sets(data: Data = None, json: Json = False) -> None:
    """The data sets that can be prepared, and which are."""
    import json as jsons

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    import harness.data
    from harness import place
    from sweeps.errors import UserError

    root = place.find(None, None, data).data
    rows = []
    for known in harness.data.names():
        row: dict[str, Any] = {
            "name": known.name,
            "description": known.description,
            "needs_path": known.needs_path,
            "prepared": False,
        }
        try:
            manifest = harness.data.load(known.name, root).manifest
        except UserError as error:
            if (root / known.name).exists():
                row["problem"] = str(error)
        else:
            counts = manifest.counts
            row |= {
                "prepared": True,
                "digest": manifest.digest,
                "train": counts.train,
                "holdout": counts.holdout,
                "test": counts.test,
                "source": manifest.source.verdict,
            }
        rows.append(row)
    if json:
        print(jsons.dumps(rows, indent=2))
        return
    table = Table(title=f"Data sets in {escape(str(root))}")
    for name in ("name", "what", "train / holdout / test", "digest"):
        table.add_column(name, overflow="fold")
    for row in rows:
        if row["prepared"]:
            counts_text = f"{row['train']} / {row['holdout']} / {row['test']}"
            table.add_row(row["name"], row["description"], counts_text, str(row["digest"])[:12])
        else:
            option = " --from PATH" if row["needs_path"] else ""
            how = row.get("problem") or f"lcma data prepare {row['name']}{option}"
            table.add_row(row["name"], row["description"], f"[dim]{escape(how)}[/]", "")
    Console().print(table)


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
