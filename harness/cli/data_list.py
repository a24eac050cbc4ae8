"""`lcma data list`: the sets that can be prepared, and those that are."""

from typing import Annotated, Any

import typer

from lcma.harness.cli.options import Data, Json


def list_sets(
    data: Data = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Box-filtered forms that are not prepared too")
    ] = False,
    json: Json = False,
) -> None:
    """The data sets that can be prepared, and which are; one's own below the root too."""
    import json as jsons

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    import lcma.harness.data
    from lcma.harness.place import find_place
    from lcma.sweeps.errors import UserError

    root = find_place(None, None, data).data
    rows = []
    for known in lcma.harness.data.names(root):
        row: dict[str, Any] = {
            "name": known.name,
            "description": known.description,
            "needs_path": known.needs_path,
            "command": known.command,
            "own": known.own,
            "filtered": known.filtered,
            "prepared": False,
        }
        try:
            manifest = lcma.harness.data.load(known.name, root).manifest
        except UserError as error:
            if (root / known.name).exists():
                row["problem"] = str(error)
        else:
            counts = manifest.counts
            row |= {
                "prepared": True,
                "variant": manifest.variant,
                "shape": manifest.shape,
                "digest": manifest.digest,
                "train": counts.train,
                "holdout": counts.holdout,
                "test": counts.test,
                "deviation": manifest.deviation,
                "skipped": len(manifest.skipped),
                "source": manifest.source.verdict,
            }
        rows.append(row)
    if json:
        print(jsons.dumps(rows, indent=2))
        return
    table = Table(title=f"Prepared in {escape(str(root))}")
    for name in ("name", "variant", "images", "train / holdout / test", "digest"):
        table.add_column(name, overflow="fold")
    for row in rows:
        if row["prepared"]:
            shape = "x".join(map(str, row["shape"]))
            counts_text = f"{row['train']} / {row['holdout']} / {row['test']}"
            digest = str(row["digest"])[:12]
            table.add_row(row["name"], row["variant"], shape, counts_text, digest)
    console = Console()
    if table.row_count:
        console.print(table)
        for row in rows:
            if row.get("deviation"):
                print(f"{row['name']}: {row['deviation']}")
        print()
    for row in rows:
        if "problem" in row:
            print(f"{row['name']}: {row['problem']}")
    left = [row for row in rows if not row["prepared"] and "problem" not in row]
    # Those that need no files are for demos: their small forms are the useful ones.
    shown = [r for r in left if everything or not (r["filtered"] and r["needs_path"])]
    if shown:
        print("Can be prepared:")
        width = max(len(row["command"]) for row in shown)
        for row in shown:
            print(f"  {row['command']:<{width}}  # {row['description']}")
    if len(shown) < len(left):
        print(
            "Each also box-filtered by two or four under its own name, such as cifar10-16: "
            "--all lists them.\nImages of your own: lcma data prepare NAME --from FOLDER --size S"
        )
