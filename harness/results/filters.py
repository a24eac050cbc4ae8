"""Filters of rows and records: values of columns, bound as parameters and never as SQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from lcma.db import Store
from lcma.db.views import views
from lcma.harness.results.lookup import make_absence_error, name_option
from lcma.harness.text import printable, short_id
from lcma.sweeps import catalog, factorizations
from lcma.sweeps.errors import UserError, suggest

Value = str | int | float | None
Filters = Mapping[str, Any]
"""By column of `results` a tuple of values that a row may have."""

_Record = TypeVar("_Record")

NULL = "null"

IDS = ("trial_id", "recipe_id", "pretraining_id", "data_digest")
"""Columns of which the first characters of a value will do."""

OF_JOBS = (
    *("flow", "profile", "dataset", "variant", "factorization", "budget", "seed", "map_options"),
    *IDS,
)
"""Columns that a job has before it has a result."""

MANY_SPLITS = range(1, 17)
"""Numbers of splits that any recipe may have: images of 2^17 pixels a side could have the last."""


def parse_filters(
    assignments: Sequence[str], **options: Collection[object] | None
) -> dict[str, Any]:
    """Return `["flow=glow", "seed=0", "seed=1"]` as `{"flow": ("glow",), "seed": (0, 1)}`.

    Values have the type of their column, `null` is null, and a column that is named several times
    may have any of the values. A factorization goes by its synonyms too, but for `conventional`.

    Args:
        assignments: KEY=VALUE, as `--where` takes them.
        options: Values of columns that have an option of their own, such as `--flow`.

    Raises:
        UserError: A column is unknown, or cannot have such a value.
    """
    columns = views.tables["results"].c
    pairs = [
        (name, str(one), f"{name_option(name)}{one}")
        for name, of in options.items()
        for one in of or ()
    ]
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(
                f"--where {printable(assignment)!r}: give KEY=VALUE such as flow=realnvp"
            )
        pairs.append((name.strip(), text, f"--where {name.strip()}={text}"))
    found: dict[str, tuple[Value, ...]] = {}
    for name, text, given in pairs:
        if name not in columns:
            hint = suggest(name, columns.keys(), "`lcma sql --schema results` describes")
            if name == "sweep":
                hint = "a sweep is chosen by --sweep NAME, where the command has that option"
            raise UserError(f"--where {printable(name)!r}: no such column of results: {hint}")
        value: Value = None if text == NULL else text
        kind = columns[name].type.python_type
        if value is not None and kind is not str:
            try:
                value = kind(text)
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                raise UserError(f"{printable(given)}: {name} is {wanted}") from None
        values = _name_as_stored(value, given) if name == "factorization" and value else (value,)
        found[name] = (*found.get(name, ()), *values)
    return found


def _name_as_stored(text: Value, given: str) -> tuple[str, ...]:
    """Return the name as given, for errors, and those under which its results may be stored."""
    typed = str(text)
    try:
        name = factorizations.normalize(typed)
    except UserError:  # a rule of a plug-in that is not here
        return (typed,)
    if name == "conventional":
        own = ", ".join(f"{rule} of {flow}" for flow, rule in catalog.flows().items())
        raise UserError(
            f"{printable(given)}: that is stored by the name of each flow's own rule: give it, "
            f"such as {own}"
        )
    alike = {
        "checkerboard": ("checkerboard-even",),
        "low": tuple("L" * splits for splits in MANY_SPLITS),
        "high": tuple("H" * splits for splits in MANY_SPLITS),
    }
    return tuple(dict.fromkeys((typed, *alike.get(name, (name,)))))


def complete_ids(store: Store, sweep_id: str | None, filters: Filters) -> dict[str, Any]:
    """Return filters in which the first characters of an id are the ids that start so."""

    def complete(name: str, value: Value) -> list[Value]:
        known = store.result_values(name, sweep_id=sweep_id) if value else []
        return [one for one in known if str(one).startswith(str(value))] or [value]

    return {
        name: tuple(one for value in of for one in complete(name, value)) if name in IDS else of
        for name, of in filters.items()
    }


def filter_records(
    records: Iterable[_Record],
    filters: Filters,
    what: str,
    columns: Collection[str] = OF_JOBS,
    options: Collection[str] = (),
) -> list[_Record]:
    """Return the records with these values in their fields; of an id the start will do.

    Pretrainings are of no factorization, so one filters trials alone. Raises UserError for a column
    that is none of these, and where nothing is left, with ``what`` there is none of. ``options``
    are those columns that have an option of their own there.
    """
    found = list(records)
    for name, values in filters.items():
        option = f"--{name} " if name in options else name_option(name)
        if name not in columns:
            raise UserError(f"{option}: {what} have no {name}, choose by {', '.join(columns)}")
        left = [one for one in found if _has(one, name, values)]
        if found and not left:
            there = {getattr(one, name) for one in found}
            known = sorted(there, key=lambda one: (one is not None, one))
            if name in IDS:
                known = [one and short_id(one) for one in known]
            raise make_absence_error(what, option, values[0], known)
        found = left
    return found


def _has(record: Any, name: str, values: Sequence[Value]) -> bool:
    value = getattr(record, name)
    if name == "factorization" and record.kind == "pretraining":
        return True
    starts = tuple(str(one) for one in values if one) if name in IDS else ()
    return value in values or (value is not None and bool(starts) and value.startswith(starts))
