"""Options and arguments that several commands share."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lcma.harness.show.targets import PictureFormat
from lcma.sweeps.options import Option, check_options, find_flag, find_options

if TYPE_CHECKING:
    from lcma.db import Store
    from lcma.db import Sweep as StoredSweep


def parse_folder(text: str) -> Path | None:
    """Return the path; None for an empty one, as of an unset variable, which `Path` takes for
    the current folder."""
    return Path(text) if text else None


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
"""The database of a command that writes it, so not the reference."""
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
        "--data",
        metavar="DIR",
        help="Folder of prepared data sets [LCMA_DATA, lcma-data]",
        parser=parse_folder,
    ),
]
Spec = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP",
        help="A shipped sweep such as `demo`, or the path of a sweep file",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs")]
Trial = Annotated[
    str | None, typer.Argument(metavar="TRIAL", help="First characters of a trial's id")
]
Work = Annotated[
    str | None,
    typer.Argument(
        metavar="TRIAL",
        help="First characters of the id of a trial, pretraining or job (default: the trial that "
        "changed last)",
    ),
]
Sweep = Annotated[
    str | None, typer.Option("--sweep", metavar="NAME", help="Only this sweep, by name or id")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="KEY=VALUE",
        help="Only results with this value of a column; repeatable",
    ),
]
_SELECTING: dict[str, Any] = {
    "sweep": Sweep,
    "flow": Annotated[list[str] | None, typer.Option(help="Only this flow; repeatable")],
    "dataset": Annotated[list[str] | None, typer.Option(help="Only this data set; repeatable")],
    "factorization": Annotated[
        list[str] | None,
        typer.Option(
            help="Only this factorization (a board keeps the compared one too); repeatable"
        ),
    ],
    "seed": Annotated[list[int] | None, typer.Option(help="Only this seed; repeatable")],
    "where": Where,
}
"""The options that select rows, in the order of `--help`."""
By = Annotated[str, typer.Option("--by", metavar="MEASURE", help="Measure to compare rows by")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Folder for pictures (default: lcma-pictures)"),
]
Picture = Annotated[
    PictureFormat | None, typer.Option("--format", help="Format of the pictures (default: png)")
]


def add_options(
    record: type, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a record (`sweeps.options`) in place of its ``**options``.

    The command is called with the options that were given, after they are checked.
    """
    parameters = {
        name: _make_parameter(name, kind, option)
        for name, (kind, option) in find_options(record).items()
        if option.flag is not None and name not in without
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            options = {name: values.pop(name) for name in parameters}
            command(**values, **check_options(record, options))

        signature = inspect.signature(command)
        spec, *others, _ = signature.parameters.values()
        # Typer makes the command line from it. Mypy knows no such attribute of functions.
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[spec, *parameters.values(), *others]
        )
        return run

    return decorate


@dataclass(frozen=True)
class RowSelection:
    """What the options of `selecting` were given: a sweep, KEY=VALUEs, and values by column."""

    sweep: str | None
    where: list[str] | None
    columns: dict[str, list[Any] | None]

    def __bool__(self) -> bool:
        return any((self.sweep, self.where, *self.columns.values()))


def selecting(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that select rows, all or these, in place of its `selection`."""
    kinds = {name: _SELECTING[name] for name in names or _SELECTING}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            columns = {name: values.pop(name) for name in kinds}
            selection = RowSelection(columns.pop("sweep"), columns.pop("where"), columns)
            command(**values, selection=selection)

        signature = inspect.signature(command)
        parameters = [*signature.parameters.values()]
        place = [*signature.parameters].index("selection")
        parameters[place : place + 1] = [
            parameters[place].replace(name=name, default=None, annotation=kind)
            for name, kind in kinds.items()
        ]
        # As in `add_options`: Typer reads it, and Mypy knows no such attribute of functions.
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _make_parameter(name: str, kind: type, option: Option) -> inspect.Parameter:
    value_type = list[str] if kind is list else kind
    typer_option = typer.Option(
        find_flag(name, option),
        help=option.help,
        metavar=option.metavar,
        min=option.least if kind is int else None,
        max=option.most if kind is int else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=False if kind is bool else None,
        annotation=Annotated[value_type if kind is bool else value_type | None, typer_option],
    )


def open_store(db: str | None, *, write: bool = False) -> "Store":
    """Open the database that `--db` names, which must exist."""
    from lcma.db import connect
    from lcma.harness.place import find_place

    return connect(find_place(db, None, None, write=write).db, create=False)


def choose_rows(
    store: "Store", selection: RowSelection, without: Collection[str] = ()
) -> tuple[str | None, dict[str, Any]]:
    """Return what is selected: the sweep's id (None for all), and values by column.

    The first characters of an id are completed. The options named in `without` are left out.
    """
    from lcma.harness.results.filters import complete_ids, parse_filters

    columns = {name: given for name, given in selection.columns.items() if name not in without}
    filters = parse_filters(selection.where or (), **columns)
    sweep_id = None if selection.sweep is None else choose_sweep(store, selection.sweep).id
    return sweep_id, complete_ids(
        filters, functools.partial(store.result_values, sweep_id=sweep_id)
    )


def choose_sweep(store: "Store", name: str | None, option: str = "--sweep ") -> "StoredSweep":
    """Return the sweep of that name or id, or the one launched last.

    Print a note if several sweeps have the name. Raises UserError if no sweep has it.
    """
    from lcma.harness.results.lookup import find_sweeps
    from lcma.harness.terminal import print_error
    from lcma.harness.text import printable

    *others, chosen = find_sweeps(store, name)
    if others:
        line = (
            f"{len(others) + 1} sweeps are named {chosen.name}: this is the one launched last; "
            f"choose another by its id: {', '.join(f'{option}{sweep.id[:8]}' for sweep in others)}"
        )
        print_error(printable(line))
    return chosen


def name_searched_sweep(store: "Store", name: str | None) -> str | None:
    """Return the name of the sweep that is searched, None if the database has no other sweep."""
    from lcma.harness.results.lookup import find_sweep

    return find_sweep(store, name).name if len(store.sweeps()) > 1 else None


def note_last_sweep(store: "Store") -> None:
    """Print a note that the output is about the sweep launched last, if there are others."""
    from lcma.harness.terminal import print_error
    from lcma.harness.text import printable

    sweeps = store.sweeps()
    if len(sweeps) > 1:
        last = printable(sweeps[-1].name)
        print_error(f"of the sweep launched last, {last}: --sweep NAME chooses another")
