"""`lcma diff`: what two trials differ in."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json

Trial = Annotated[str, typer.Argument(metavar="TRIAL", help="First characters of a trial's id")]


def diff(a: Trial, b: Trial, db: Db = None, json: Json = False) -> None:
    """Show in what two trials differ: rule, settings, versions and hardware, measures.

    Measures are those of the protocol plain.
    """
    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.differences import compare_trials
    from lcma.harness.results.trials import choose_drawn_trials
    from lcma.harness.show.differences import make_difference_table
    from lcma.harness.show.tables import render_table, table_as_json
    from lcma.harness.terminal import Console

    store = connect(find_place(db, None, None).db, create=False)
    first, second = (choose_drawn_trials(store, one, None, {})[0][0] for one in (a, b))
    found = make_difference_table(first, second, *compare_trials(store, first, second, "plain"))
    if json:
        print(table_as_json(found))
        return
    Console().print(render_table(found))
