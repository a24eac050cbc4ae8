"""`lcma diff`: the differences between two trials."""

from typing import Annotated

import typer

from lcma.harness.cli.options import Db, Json, open_store

Trial = Annotated[str, typer.Argument(metavar="TRIAL", help="First characters of a trial's id")]


def diff(a: Trial, b: Trial, db: Db = None, json: Json = False) -> None:
    """Show how two trials differ: rule, settings, versions, hardware and measures.

    Measures are those of the protocol plain.
    """
    from lcma.harness.results.trials import choose_drawn_trials, compare_trials, describe_trial
    from lcma.harness.show.tables import Table, TableColumn, render_table, table_as_json
    from lcma.harness.terminal import Console
    from lcma.harness.text import format_count

    store = open_store(db)
    first, second = (choose_drawn_trials(store, trial_id, None, {})[0][0] for trial_id in (a, b))
    differences, equal = compare_trials(store, first, second)
    columns = (
        TableColumn("name"),
        *(TableColumn(name, right=True, places=5) for name in ("A", "B")),
        TableColumn("difference", heading="B - A", kind="number", places=5, sign=True),
    )
    table = Table(
        columns,
        tuple(differences),
        title=f"A: {describe_trial(first)}",
        subtitle=f"B: {describe_trial(second)}",
        notes=(f"{format_count(equal, 'measure')} equal",) if equal else (),
    )
    if json:
        print(table_as_json(table))
        return
    Console().print(render_table(table))
