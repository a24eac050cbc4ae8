"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from lcma.harness.report.formats import Format

Db = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="Database: a file or a URL [LCMA_DB, lcma.db]"),
]
Runs = Annotated[
    str | None,
    typer.Option(
        "--runs", metavar="DIR", help="Checkpoints and weights, or a URL [LCMA_RUNS, lcma-runs]"
    ),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Prepared data sets [LCMA_DATA, lcma-data]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]
Trial = Annotated[
    str | None,
    typer.Argument(help="Trial, or the first characters of its id; default: see the text above"),
]
Work = Annotated[
    str,
    typer.Argument(
        metavar="TRIAL", help="The first characters of the id of a trial, pretraining or job"
    ),
]
Sweep = Annotated[
    str | None, typer.Option("--sweep", help="Trials of this sweep, by name or id [the newest]")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="PATH", help="Where to draw [lcma-pictures]")
]
Picture = Annotated[
    Format | None,
    typer.Option("--format", help="png or svg [what the name of --out says, else png]"),
]
