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
    from lcma.harness.cli.planning import plan_sweep, show_plan
    from lcma.harness.launch.plan import require_valid
    from lcma.harness.place import find_place

    where = find_place(db, None, data)
    made = plan_sweep(spec, where, overrides)
    require_valid(made, skip_invalid=True)  # where no cell can be run there is nothing to show
    show_plan(made, spec, overrides, where, db=db, data=data, as_json=json)
    require_valid(made, skip_invalid=False)  # as a launch
