"""lcma data"""

from typing import Any

import typer

from harness.cli.options import Data, Json
from harness.cli.prepare import prepare

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
    for known in harness.data.names(root):
        row: dict[str, Any] = {
            "name": known.name,
            "description": known.description,
            "needs_path": known.needs_path,
            "command": known.command,
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
            how = row.get("problem") or row["command"]
            table.add_row(row["name"], row["description"], f"[dim]{escape(how)}[/]", "")
    Console().print(table)


app.command()(prepare)
