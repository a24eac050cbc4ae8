"""`lcma data list`: the sets that can be prepared, and those that are."""

from typing import Any

from harness.cli.options import Data, Json


def list_sets(data: Data = None, json: Json = False) -> None:
    """The data sets that can be prepared, and which are; one's own below the root too."""
    import json as jsons

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    import harness.data
    from harness import place
    from sweeps.errors import UserError

    root = place.find(None, None, data).data
    rows = []
    for known in harness.data.names(root):
        row: dict[str, Any] = {
            "name": known.name,
            "description": known.description,
            "needs_path": known.needs_path,
            "command": known.command,
            "own": known.own,
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
                "variant": manifest.variant,
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
    table = Table(title=f"Data sets in {escape(str(root))}")
    for name in ("name", "variant", "what", "train / holdout / test", "digest"):
        table.add_column(name, overflow="fold")
    for row in rows:
        if row["prepared"]:
            said = f"{row['train']} / {row['holdout']} / {row['test']}"
            digest = str(row["digest"])[:12]
            table.add_row(row["name"], row["variant"], escape(row["description"]), said, digest)
        else:
            how = row.get("problem") or row["command"]
            description = escape(row["description"])
            table.add_row(row["name"], "", description, f"[dim]{escape(how)}[/]", "")
    Console().print(table)
    for row in rows:
        if row.get("deviation"):
            print(f"{row['name']}: {row['deviation']}")
