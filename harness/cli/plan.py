"""lcma plan"""

from typing import Annotated

import typer

from harness.cli.options import Data, Db, Json

Spec = Annotated[
    str, typer.Argument(help="A shipped sweep such as `demo`, or the path of a sweep file")
]
Dataset = Annotated[
    str | None, typer.Option(help="Data sets in place of the spec's, separated by commas")
]
Profile = Annotated[str | None, typer.Option(help="Profile in place of the spec's")]
Seeds = Annotated[
    str | None, typer.Option(help="How many seeds (6), or which (0,1,5), in place of the spec's")
]


def plan(
    spec: Spec,
    dataset: Dataset = None,
    profile: Profile = None,
    seeds: Seeds = None,
    db: Db = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """List what a sweep would run: new, there already, shared, invalid, the same twice."""
    from harness import place
    from harness.cli import planning

    where = place.find(db, None, data)
    made = planning.make(spec, where, dataset=dataset, profile=profile, seeds=seeds)
    again = planning.command(spec, dataset=dataset, profile=profile, seeds=seeds)
    planning.show(made, again, where, as_json=json)
