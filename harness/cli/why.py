"""`lcma why`: an explanation of a job's state."""

from lcma.harness.cli.options import Db, Json, Work, open_store


def why(
    trial: Work = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Explain the state of a trial: who ran it, who runs it, what it waits for, why it failed.

    If the trial waits, the answer names what has to happen first and what to type
    next.
    """
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import to_json
    from lcma.harness.watch.jobs import find_named_jobs
    from lcma.harness.watch.why import explain_job, explanation_as_dict, render_explanation

    store = open_store(db)
    jobs, note = find_named_jobs(store, trial)
    if note:
        print_error(note)
    explanations = [explain_job(store, job, db) for job in jobs]
    if json:
        print(to_json(list(map(explanation_as_dict, explanations))))
        return
    console, several = Console(), len({job.data_digest for job in jobs}) > 1
    for number, explanation in enumerate(explanations):
        if number:
            console.print()
        console.print(render_explanation(explanation, data=several), soft_wrap=True)
