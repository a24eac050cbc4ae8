"""`lcma why`: the chain of causes behind the state of a trial."""

from lcma.harness.cli.options import Db, Json, Work


def why(
    trial: Work,
    db: Db = None,
    json: Json = False,
) -> None:
    """Say why a trial is as it is: who did it, who runs it, what it waits for, why it failed.

    What it waits for is followed down to what has to happen first, with the command to type next.
    """
    from rich.console import Console

    from lcma.db import connect
    from lcma.harness import place
    from lcma.harness.report import causes, lookup
    from lcma.harness.report.text import to_json

    store = connect(place.find(db, None, None).db, create=False)
    found = [causes.explain(store, job) for job in lookup.jobs_of(store, trial)]
    if json:
        print(to_json([causes.as_dict(one) for one in found]))
        return
    console = Console()
    for number, one in enumerate(found):
        if number:
            console.print()
        console.print(causes.render(one), soft_wrap=True)
