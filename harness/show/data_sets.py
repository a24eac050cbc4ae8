"""Data sets as text: a list of all, and the content of a prepared one."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

from lcma.harness import data
from lcma.harness.data import Manifest
from lcma.harness.data.bars import ComputedBar
from lcma.harness.data.inspection import Inspection
from lcma.harness.data.manifest import PARTS, ByPart
from lcma.harness.show.tables import Table, TableColumn, tabulate
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError


def read_data_sets(root: Path) -> list[dict[str, Any]]:
    """Return every set that is or can be prepared below a root, as JSON values.

    ``problem`` says why a set that exists cannot be used.
    """
    rows = []
    for entry in data.list_sets(root):
        facts = ("name", "description", "needs_path", "command", "own", "filtered")
        row: dict[str, Any] = {name: getattr(entry, name) for name in facts} | {"prepared": False}
        try:
            manifest = data.load(entry.name, root).manifest
        except UserError as error:
            if (root / entry.name).exists():
                row["problem"] = str(error)
        else:
            row |= {"prepared": True, "skipped": len(manifest.skipped)} | dict(
                manifest.counts.items()
            )
            row |= {"source": manifest.source.verdict}
            row |= {
                name: getattr(manifest, name)
                for name in ("variant", "shape", "digest", "deviation")
            }
        rows.append(row)
    return rows


def tabulate_prepared_sets(rows: Sequence[dict[str, Any]], root: Path) -> Table:
    """Return a table of the prepared sets among the rows of `read_data_sets`."""
    return tabulate(
        [row for row in rows if row["prepared"]],
        TableColumn("name", of=itemgetter("name")),
        TableColumn("variant", of=itemgetter("variant")),
        TableColumn("images", of=lambda row: "x".join(map(str, row["shape"]))),
        TableColumn(
            "train / holdout / test", of=lambda row: " / ".join(str(row[part]) for part in PARTS)
        ),
        TableColumn("digest", of=lambda row: row["digest"][:12]),
        title=f"Prepared in {root}",
    )


def describe_data_sets(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines about deviations, problems, and the commands that prepare further sets.

    Box-filtered forms of sets that need files are left out.
    """
    lines = [f"{row['name']}: {row['deviation']}" for row in rows if row.get("deviation")]
    if any(row["prepared"] for row in rows):
        lines.append("")
    lines += [f"{row['name']}: {row['problem']}" for row in rows if "problem" in row]
    preparable = [row for row in rows if not row["prepared"] and "problem" not in row]
    # Sets that need no files are for demos, where the box-filtered forms are the useful ones.
    shown = [row for row in preparable if not (row["filtered"] and row["needs_path"])]
    if shown:
        width = max(len(row["command"]) for row in shown)
        lines.append("Can be prepared:")
        lines += [f"  {row['command']:<{width}}  # {row['description']}" for row in shown]
    if len(shown) < len(preparable):
        lines += [
            "Those with --from have forms smaller by two or four too, such as cifar10-16.",
            "Your own images: lcma data prepare NAME --from FOLDER --size S",
        ]
    return lines


MIN_IMAGES = 100
"""With fewer test images the spread over images may exceed any difference between rules."""


def describe_set(
    manifest: Manifest, bars: Sequence[ComputedBar], copies: Mapping[str, int] | None = None
) -> list[str]:
    """Return lines about a prepared set: counts, source, copies of images if known, and bars."""
    counts, expected, source = manifest.counts, manifest.expected, manifest.source
    lines = [
        f"{manifest.name}: variant {manifest.variant} of {manifest.dataset}, {manifest.dtype} "
        f"{'x'.join(map(str, manifest.shape))}",
        f"images: {_list_counts(counts)}",
    ]
    if expected is not None:
        same = "as prepared" if expected == counts else "the counts here deviate"
        lines.append(f"published: {_list_counts(expected)}: {same}")
    if counts.test < MIN_IMAGES:
        lines.append(
            f"few: {format_count(counts.test, 'test image')}, and every comparison rests on them; "
            "a few hundred show more"
        )
    if manifest.skipped:
        files = ", ".join(manifest.skipped[:3]) + ", ..." * (len(manifest.skipped) > 3)
        lines.append(f"skipped: {format_count(len(manifest.skipped), 'file')}, {files}")
    lines += [
        f"source: {source.layout}, {source.verdict}",
        f"read by: {source.reader}",
        f"preprocessing: {manifest.preprocessing}",
        f"holdout: {manifest.holdout_rule}",
        f"digest: {manifest.digest}",
    ]
    if copies is not None:
        counted = ", ".join(f"{copies[f'within_{part}']:,} in {part}" for part in PARTS)
        lines += [
            f"copies of an earlier image: {counted}",
            f"equal images in two parts: {copies['train_test']:,} of test and "
            f"{copies['train_holdout']:,} of holdout are in train, {copies['holdout_test']:,} of "
            "test are in holdout",
        ]
    for bar in bars:
        value = "-" if bar.bits_per_dim is None else f"{bar.bits_per_dim:.4f} bits/dim"
        lines.append(f"bar {bar.name}: {value} ({bar.detail})")
    return lines


def _list_counts(counts: ByPart[int]) -> str:
    return ", ".join(f"{number:,} {part}" for part, number in counts.items())


def tabulate_channels(inspection: Inspection) -> Table:
    """Return a table with mean and range of each channel in each part."""
    columns = [TableColumn("channel")]
    values: list[list[Any]] = [list(map(str, range(len(inspection.channels.train))))]
    for part, channels in inspection.channels.items():
        columns.append(TableColumn(f"{part} mean", kind="number", places=2))
        columns.append(TableColumn("range", right=True))
        values.append([channel.mean for channel in channels])
        values.append([f"{channel.low:g}..{channel.high:g}" for channel in channels])
    return Table(tuple(columns), tuple(zip(*values, strict=True)))


def set_as_dict(
    manifest: Manifest, inspection: Inspection, bars: Sequence[ComputedBar], picture: Path
) -> dict[str, Any]:
    """Return a prepared set as JSON values."""
    return {
        **manifest.model_dump(mode="json", exclude={"groups"}),
        "deviation": manifest.deviation,
        "channels": {
            part: list(map(asdict, channels)) for part, channels in inspection.channels.items()
        },
        "duplicates": inspection.copies,
        "bars": list(map(asdict, bars)),
        "picture": str(picture),
    }
