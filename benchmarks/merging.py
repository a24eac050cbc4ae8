"""Another site's database taken over: all of it new, and all of it there already."""

import time
from typing import Any

from benchmarks.many_trials import made
from benchmarks.places import Site
from lcma import db
from lcma.db.merging import merge as take_over


def merge(site: Site, trials: int) -> dict[str, Any]:
    """A database of so many trials, from this engine into an empty one of this engine."""
    source = db.locate(made(site, trials, maps=False)[0])
    times = {}
    with site.fresh() as target:
        for name in ("new", "again"):
            began = time.perf_counter()
            take_over(source, db.locate(target))
            times[name] = time.perf_counter() - began
        store = db.connect(target)
        came = store.job_counts().trial.done
        store.close()
    print(
        f"  merge of {trials} trials: {times['new']:.0f} s, {trials / times['new']:.0f} trials/s; "
        f"again, with nothing new, {times['again']:.0f} s; {came} done there",
        flush=True,
    )
    return {"trials": trials, "seconds": times, "done": came}
