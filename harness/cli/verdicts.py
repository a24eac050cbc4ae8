"""`lcma verdicts`: the paper's claims and ours, judged by the results."""

import shlex
from typing import Annotated

import typer

from lcma.harness.cli.options import By, Db, Json, RowSelection, choose_rows, open_store, selecting
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.measures import BITS_PER_DIM


@selecting("sweep", "flow", "dataset", "seed", "where")
def verdicts(
    claim: Annotated[
        str | None, typer.Argument(metavar="CLAIM", help="Show every verdict on this claim")
    ] = None,
    *,
    selection: RowSelection,
    by: By = BITS_PER_DIM,
    db: Db = None,
    json: Json = False,
) -> None:
    """Judge the paper's claims about a choice, and ours, by one rule.

    Without CLAIM, count the verdicts on each claim. With it, show every verdict on
    the claim with effect, interval and n, and the launches that would decide open
    ones.
    """
    from lcma.harness.place import is_published_database, name_database
    from lcma.harness.results.claims import CLAIMS
    from lcma.harness.results.lookup import require_results
    from lcma.harness.results.verdicts import read_verdicts
    from lcma.harness.show.verdicts import render_verdicts, verdicts_as_dict
    from lcma.harness.terminal import Console
    from lcma.harness.text import printable, to_json
    from lcma.harness.watch.commands import choose_writable, format_command

    if claim is not None and claim not in CLAIMS:
        raise UserError(f"no claim {printable(claim)!r}: {suggest(claim, CLAIMS, 'there are')}")
    store = open_store(db)
    sweep_id, filters = choose_rows(store, selection)
    require_results(store, sweep_id, filters, measure=by)
    verdicts = read_verdicts(store, measure=by, sweep_id=sweep_id, **filters)
    if json:
        print(to_json(verdicts_as_dict(verdicts, claim)))
        return
    target, after = choose_writable(db), None
    _, *options = shlex.split(format_command(db=target))
    if is_published_database(name := name_database(db)):  # no launch writes it: merge it first
        after = format_command("db", "merge", name, db=target)
    text = render_verdicts(verdicts, claim, options=options, after=after)
    Console().print(text, crop=False)
