"""`lcma data show`: what a prepared set holds, in numbers and as a contact sheet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcma.harness.cli.options import Data, Json

if TYPE_CHECKING:
    from rich.table import Table

    from lcma.harness.data import Manifest
    from lcma.harness.data.inspection import Duplicates, Inspection


def show(
    name: Annotated[str, typer.Argument(help="A prepared set")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="The contact sheet, .png or .svg [NAME.png]"),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Draw a contact sheet of a prepared set, and say what its images are."""
    import json as jsons
    from dataclasses import asdict

    from rich.console import Console
    from rich.progress import Progress

    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.inspection import inspect_set
    from lcma.harness.place import find_place
    from lcma.harness.report.pictures import draw_contact_sheet

    prepared = lcma.harness.data.load(name, find_place(None, None, data).data)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {name}")

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"{name}: {what}")

        picture = draw_contact_sheet(prepared, out or Path(f"{name}.png"))
        found = inspect_set(prepared, progress)
        known = ensure_bars(prepared, progress)
    manifest = prepared.manifest
    if json:
        content: dict[str, Any] = {
            **manifest.model_dump(mode="json", exclude={"groups"}),
            "deviation": manifest.deviation,
            "channels": {part: [asdict(c) for c in of] for part, of in found.channels.items()},
            "duplicates": {
                **{f"within_{part}": n for part, n in found.duplicates.within.items()},
                **{k: v for k, v in asdict(found.duplicates).items() if k != "within"},
            },
            "bars": [asdict(one) for one in known],
            "picture": str(picture),
        }
        print(jsons.dumps(content, indent=2))
        return
    for line in _about(manifest):
        print(line)
    for line in _twins(found.duplicates):
        print(line)
    for one in known:
        value = "-" if one.bits_per_dim is None else f"{one.bits_per_dim:.4f} bits/dim"
        print(f"bar {one.name}: {value} ({one.detail})")
    Console().print(_channels(found))
    print(f"contact sheet: {picture}")


def _about(manifest: "Manifest") -> list[str]:
    counts, expected, source = manifest.counts, manifest.expected, manifest.source
    lines = [
        f"{manifest.name}: variant {manifest.variant} of {manifest.dataset}, {manifest.dtype} "
        f"{'x'.join(map(str, manifest.shape))}",
        f"images: {counts.train:,} train, {counts.holdout:,} holdout, {counts.test:,} test",
    ]
    if expected is not None:
        same = "as prepared" if expected == counts else "the counts here deviate"
        lines.append(
            f"published: {expected.train:,} train, {expected.holdout:,} holdout, "
            f"{expected.test:,} test: {same}"
        )
    if manifest.skipped:
        lines.append(f"skipped: {len(manifest.skipped):,} files, {', '.join(manifest.skipped)}")
    return [
        *lines,
        f"source: {source.layout}, {source.verdict}",
        f"read by: {source.reader}",
        f"preprocessing: {manifest.preprocessing}",
        f"holdout: {manifest.holdout_rule}",
        f"digest: {manifest.digest}",
    ]


def _twins(found: "Duplicates") -> list[str]:
    within = ", ".join(f"{n:,} in {part}" for part, n in found.within.items())
    return [
        f"copies of an earlier image: {within}",
        f"in two parts: {found.train_test:,} of test and {found.train_holdout:,} of holdout are "
        f"in train, {found.holdout_test:,} of test are in holdout",
    ]


def _channels(found: "Inspection") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("channel")
    for part, _ in found.channels.items():
        table.add_column(f"{part} mean", justify="right")
        table.add_column("range", justify="right")
    for index in range(len(found.channels.train)):
        cells = []
        for _, of in found.channels.items():
            channel = of[index]
            cells += [f"{channel.mean:.2f}", f"{channel.low:g}..{channel.high:g}"]
        table.add_row(str(index), *cells)
    return table
