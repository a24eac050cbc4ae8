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
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_jobs
    from lcma.harness.text import to_json
    from lcma.harness.watch.why import explain_job, explanation_as_dict, render_explanation

    store = connect(find_place(db, None, None).db, create=False)
    found = [explain_job(store, job) for job in find_jobs(store, trial)]
    if json:
        print(to_json([explanation_as_dict(one) for one in found]))
        return
    console = Console()
    for number, one in enumerate(found):
        if number:
            console.print()
        console.print(render_explanation(one), soft_wrap=True)
