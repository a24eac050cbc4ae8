"""`lcma plan`: what a sweep would run, and how long that would take."""

from typing import Unpack

from lcma.harness.cli.options import Data, Db, Json, Spec, add_options
from lcma.sweeps.options import Overrides


@add_options(Overrides)
def plan(
    spec: Spec,
    db: Db = None,
    data: Data = None,
    json: Json = False,
    **overrides: Unpack[Overrides],
) -> None:
    """List what a sweep would run: new, there already, shared, invalid, the same twice."""
    from lcma.harness.cli.planning import run_plan

    run_plan(spec, overrides, db=db, data=data, as_json=json)
