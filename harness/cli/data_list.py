"""`lcma data list`: the data sets that can be prepared, and those that are."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Data, Json


def list_sets(
    data: Data = None,
    everything: Annotated[
        bool, typer.Option("--all", help="List box-filtered forms that are not prepared too")
    ] = False,
    json: Json = False,
) -> None:
    """List the data sets that can be prepared, and those that are, with your own."""
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
    for line in describe_data_sets(rows, every=everything):
        print_line(line)
