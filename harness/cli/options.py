"""Options and arguments that several commands share."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcma.harness.cli.completions import (
    complete_dataset,
    complete_factorization,
    complete_flow,
    complete_profile,
)
from lcma.harness.report.targets import PictureFormat

if TYPE_CHECKING:
    from lcma.db import Store
    from lcma.db import Sweep as StoredSweep

Db = Annotated[
    str | None,
    typer.Option(
        "--db", metavar="URL", help="Database: a file, a URL, or reference [LCMA_DB, lcma.db]"
    ),
]
OwnDb = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Your database: a file or a URL [LCMA_DB, lcma.db]"),
]
"""Of a command that writes it."""
Runs = Annotated[
    str | None,
    typer.Option(
        "--runs",
        metavar="DIR",
        help="Folder or URL of checkpoints and weights [LCMA_RUNS, lcma-runs]",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of prepared data sets [LCMA_DATA, lcma-data]"
    ),
]
MaxDeviceHours = Annotated[
    float | None,
    typer.Option(metavar="HOURS", help="Device hours of this launch after which it ends"),
]
MaxHours = Annotated[
    float | None, typer.Option(metavar="HOURS", help="Hours by the wall after which it ends")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]
Trial = Annotated[
    str | None,
    typer.Argument(help="First characters of a trial's id; default: see the text above"),
]
Work = Annotated[
    str | None,
    typer.Argument(
        metavar="TRIAL", help="The first characters of the id of a trial, pretraining or job"
    ),
]
Sweep = Annotated[
    str | None, typer.Option("--sweep", metavar="NAME", help="Only this sweep, by name or id")
]
Flows = Annotated[
    list[str] | None,
    typer.Option("--flow", help="Only this flow; repeatable", autocompletion=complete_flow),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset", help="Only this data set; repeatable", autocompletion=complete_dataset
    ),
]
Factorizations = Annotated[
    list[str] | None,
    typer.Option(
        "--factorization",
        help="Only this one, beside what it is compared with; repeatable",
        autocompletion=complete_factorization,
    ),
]
Seeds = Annotated[list[int] | None, typer.Option("--seed", help="Only this seed; repeatable")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        help="Only this value of a column of trial_results; repeatable",
    ),
]
By = Annotated[str, typer.Option("--by", metavar="MEASURE", help="What rows are compared by")]
Measure = Annotated[
    str, typer.Option("--measure", metavar="NAME", help="What the board is ranked by, and verdicts")
]
OnlyFlow = Annotated[str | None, typer.Option(help="Only this flow", autocompletion=complete_flow)]
OnlyDataset = Annotated[
    str | None, typer.Option(help="Only this data set", autocompletion=complete_dataset)
]
OnlyProfile = Annotated[
    str | None,
    typer.Option(help="Only this profile of the recipes", autocompletion=complete_profile),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="PATH", help="Where to write pictures (default: lcma-pictures)"),
]
Picture = Annotated[
    PictureFormat | None,
    typer.Option("--format", help="png, svg or pdf (default: as --out ends, else png)"),
]
OutFolder = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for pictures (default: lcma-pictures)"),
]
PictureInFolder = Annotated[
    PictureFormat | None, typer.Option("--format", help="png, svg or pdf (default: png)")
]


def choose_rows(
    store: "Store",
    sweep: str | None,
    where: list[str] | None,
    **options: Collection[object] | None,
) -> tuple[str | None, dict[str, Any]]:
    """Return what the options above choose: the id of the sweep, and values by column.

    The sweep is None for results of all of them. Of an id the first characters will do.
    """
    from lcma.harness.results.filters import complete_ids, parse_filters

    filters = parse_filters(where or (), **options)
    sweep_id = None if sweep is None else choose_sweep(store, sweep).id
    return sweep_id, complete_ids(store, sweep_id, filters)


def choose_sweep(store: "Store", name: str | None) -> "StoredSweep":
    """Return the sweep of that name or id, or that launched last; say where several are named so.

    Raises UserError where there is none.
    """
    from lcma.harness.results.lookup import find_sweep, note_namesakes
    from lcma.harness.terminal import print_error

    found = find_sweep(store, name)
    if name == found.name and (note := note_namesakes(store.sweeps(), found)):
        print_error(note)
    return found
