"""lcma data prepare"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Json

if TYPE_CHECKING:
    from lcma.harness.data import Manifest
    from lcma.harness.data.bars import ComputedBar


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

    from rich.console import Console
    from rich.progress import Progress

    import lcma.harness.data
    from lcma.harness.data.bars import ensure_bars
    from lcma.harness.data.fetching import fetch_files
    from lcma.harness.place import find_place

    root = find_place(None, None, data).data
    if download:
        source = fetch_files(name, root, source)
    console = Console(stderr=True)
    began: list[float] = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"preparing {name}")

        def progress(label: str, done: int, total: int) -> None:
            # Starting takes longer than reading a small set.
            if not began:
                began.append(time.perf_counter())
            bar.update(task, completed=done, total=total, description=f"{name}: {label}")

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
        found = ensure_bars(prepared, progress)
    manifest = prepared.manifest
    if json:
        print(manifest.model_dump_json(indent=2))
        return
    print("\n".join(_lines(manifest, prepared.folder, seconds, found)))


def _lines(
    manifest: "Manifest", folder: Path, seconds: float, bars: "tuple[ComputedBar, ...]"
) -> list[str]:
    counts = manifest.counts
    n = counts.train + counts.holdout + counts.test
    lines = [
        f"{manifest.name}: {counts.train} train, {counts.holdout} holdout and {counts.test} test "
        f"images of {'x'.join(map(str, manifest.shape))} ({manifest.variant}) in {folder}",
        f"source: {manifest.source.layout}, {manifest.source.verdict}",
    ]
    if manifest.deviation:
        lines.append(f"not the published set: {manifest.deviation}")
    if manifest.skipped:
        first = ", ".join(manifest.skipped[:3])
        more = ", ..." if len(manifest.skipped) > 3 else ""
        lines.append(f"left out: {len(manifest.skipped)} images ({first}{more})")
    lines.append(f"digest: {manifest.digest}")
    if seconds:
        lines.append(f"read in {seconds:.1f} s, {n / seconds:.0f} images/s")
    return [
        *lines,
        f"to beat: {_to_beat(bars)}",
        f"Next: lcma plan demo --dataset {manifest.name}",
    ]


def _to_beat(bars: "tuple[ComputedBar, ...]") -> str:
    known = [f"{b.name} {b.bits_per_dim:.3f}" for b in bars if b.bits_per_dim is not None]
    return ", ".join(known) + " bits/dim on the test part"
