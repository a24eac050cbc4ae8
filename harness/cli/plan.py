"""`lcma plan`: what a sweep would run, and how long that would take."""

from typing import Annotated

import typer

from lcma.harness.cli.completions import (
    complete_dataset,
    complete_factorization,
    complete_flow,
    complete_profile,
    complete_sweep,
)
from lcma.harness.cli.options import Data, Db, Json

Spec = Annotated[
    str,
    typer.Argument(
        help="A shipped sweep such as `demo`, or the path of a sweep file",
        autocompletion=complete_sweep,
    ),
]
Flow = Annotated[
    str | None,
    typer.Option(
        help="Flows in place of the spec's, separated by commas", autocompletion=complete_flow
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        help="Data sets in place of the spec's, separated by commas",
        autocompletion=complete_dataset,
    ),
]
Factorization = Annotated[
    str | None,
    typer.Option(
        help="Factorizations in place of the spec's, separated by commas",
        autocompletion=complete_factorization,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(help="Profile in place of the spec's", autocompletion=complete_profile),
]
Seeds = Annotated[
    str | None,
    typer.Option(help="How many seeds (6), or which (0,1,5 or 6-11), in place of the spec's"),
]
Budget = Annotated[
    str | None, typer.Option(help="Budgets in place of the spec's, separated by commas")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting over the recipe's, such as training.steps=50"
    ),
]


def plan(
    spec: Spec,
    flow: Flow = None,
    dataset: Dataset = None,
    factorization: Factorization = None,
    profile: Profile = None,
    seeds: Seeds = None,
    budget: Budget = None,
    set_: Settings = None,
    db: Db = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List what a sweep would run: new, there already, shared, invalid, the same twice."""
    from lcma.harness.cli.planning import Overrides, plan_sweep, show_plan
    from lcma.harness.place import find_place
    from lcma.harness.run.plan import require_valid

    where = find_place(db, None, data)
    overrides = Overrides(flow, dataset, factorization, profile, seeds, budget, tuple(set_ or ()))
    made = plan_sweep(spec, where, overrides)
    require_valid(made, skip_invalid=True)  # where no cell can be run there is nothing to show
    show_plan(made, spec, overrides, where, db=db, data=data, as_json=json)
    require_valid(made, skip_invalid=False)  # as a launch
