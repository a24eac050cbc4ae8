"""Filters of rows and records by values of columns, which are bound as parameters, never as SQL."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from lcma.db.views import views
from lcma.harness.results.lookup import make_absence_error, name_option
from lcma.harness.text import printable, short_id
from lcma.sweeps import catalog, factorizations, known_sets
from lcma.sweeps.errors import UserError, suggest

Value = str | int | float | None
Filters = Mapping[str, Any]
"""Values that a row may have, a tuple for each column of `results`."""

_Record = TypeVar("_Record")

NULL = "null"

IDS = ("trial_id", "recipe_id", "pretraining_id", "data_digest")
"""Columns where the first characters of a value are enough."""

JOB_COLUMNS = (
    *("flow", "profile", "dataset", "variant", "factorization", "budget", "seed", "map_options"),
    *IDS,
)
"""Columns that a job has before it has a result."""

SPLIT_COUNTS = range(1, 17)
"""Numbers of splits that a recipe may have; 16 need images of 2^17 pixels a side."""


def parse_filters(
    assignments: Sequence[str], **options: Collection[object] | None
) -> dict[str, Any]:
    """Return `["flow=glow", "seed=0", "seed=1"]` as `{"flow": ("glow",), "seed": (0, 1)}`.

    Values have the type of their column, and `null` is null. A column that is named several times
    may have any of its values. Any synonym of a factorization works, except `conventional`.

    Args:
        assignments: KEY=VALUE, as `--where` takes them.
        options: Values of columns that have an option of their own, such as `--flow`.

    Raises:
        UserError: A column is unknown, or cannot have such a value.
    """
    columns = views.tables["results"].c
    pairs = [
        (name, str(value), f"{name_option(name)}{value}")
        for name, values in options.items()
        for value in values or ()
    ]
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(
                f"--where {printable(assignment)!r}: give KEY=VALUE such as flow=realnvp"
            )
        pairs.append((name.strip(), text, f"--where {name.strip()}={text}"))
    filters: dict[str, tuple[Value, ...]] = {}
    for name, text, argument in pairs:
        if name not in columns:
            hint = suggest(name, columns.keys(), "`lcma sql --schema results` describes")
            if name == "sweep":
                hint = "a sweep is chosen by --sweep NAME, where the command has that option"
            raise UserError(f"--where {printable(name)!r}: no such column of results: {hint}")
        parsed: Value = None if text == NULL else text
        kind = columns[name].type.python_type
        if parsed is not None and kind is not str:
            try:
                parsed = kind(text)
            except ValueError:
                expected = "a whole number" if kind is int else "a number"
                raise UserError(f"{printable(argument)}: {name} is {expected}") from None
        is_rule = name == "factorization" and parsed is not None
        stored = _list_stored_names(text, argument) if is_rule else (parsed,)
        filters[name] = (*filters.get(name, ()), *stored)
    sets = {str(each): known_sets.known().get(str(each)) for each in filters.get("dataset", ())}
    for name, facts in sets.items():  # celeba64-float is the variant float of celeba64
        if facts is not None and facts.dataset != name:
            if len(sets) > 1 or filters.get("variant", (facts.variant,)) != (facts.variant,):
                remedy = (
                    f"filter by --dataset {facts.dataset} --where variant={facts.variant} alone"
                )
                raise UserError(f"{name} is a variant of {facts.dataset}: {remedy}")
            filters |= {"dataset": (facts.dataset,), "variant": (facts.variant,)}
    return filters


def _list_stored_names(typed: str, argument: str) -> tuple[str, ...]:
    """Return the name as typed, for errors, and those under which its results may be stored."""
    try:
        name = factorizations.normalize(typed)
    except UserError:  # a rule of a plug-in that is not loaded
        return (typed,)
    if name == "conventional":
        rules = ", ".join(f"{rule} of {flow}" for flow, rule in catalog.flows().items())
        raise UserError(
            f"{printable(argument)}: results are stored by the name of each flow's own rule: give "
            f"that, such as {rules}"
        )
    stored = []
    for splits in SPLIT_COUNTS:
        with suppress(factorizations.ImpossibleError):  # a word or pattern of other splits
            stored.append(factorizations.canonical(name, conventional="none", splits=splits))
    return tuple(dict.fromkeys((typed, *(stored or [name]))))


def complete_ids(filters: Filters, read: Callable[[str], Iterable[Any]]) -> dict[str, Any]:
    """Return the filters with each shortened id replaced by the ids that start with it.

    ``read`` returns the ids of a column.
    """

    def complete(name: str, start: Value) -> list[Value]:
        stored = read(name) if start else []
        return [value for value in stored if str(value).startswith(str(start))] or [start]

    return {
        name: tuple(value for start in values for value in complete(name, start))
        if name in IDS
        else values
        for name, values in filters.items()
    }


def filter_records(
    records: Iterable[_Record],
    filters: Filters,
    what: str,
    columns: Collection[str] = JOB_COLUMNS,
    options: Collection[str] = (),
    sweep: str | None = None,
) -> list[_Record]:
    """Return the records with these values in their fields; the start of an id is enough.

    A filter by factorization keeps all pretrainings, which have none.

    Args:
        records: Jobs, or sets of maps.
        filters: Values by column.
        what: Name of the records, for errors.
        columns: Those that the records have.
        options: Columns with an option of their own in the command.
        sweep: Name of the only sweep that the records come from, for errors.

    Raises:
        UserError: The records lack a column, or none is left.
    """
    kept = list(records)
    for name, values in filters.items():
        option = f"--{name} " if name in options else name_option(name)
        if name not in columns:
            raise UserError(
                f"{option.rstrip('= ')}: {what} have no {name}, choose by {', '.join(columns)}"
            )
        matching = [record for record in kept if _matches(record, name, values)]
        if kept and not matching:
            present = {getattr(record, name) for record in kept}
            known = sorted(present, key=lambda value: (value is not None, value))
            if name in IDS:
                known = [value and short_id(value) for value in known]
            raise make_absence_error(what, option, values[0], known, sweep=sweep)
        kept = matching
    return kept


def _matches(record: Any, name: str, values: Sequence[Value]) -> bool:
    value = getattr(record, name)
    if name == "factorization" and record.kind == "pretraining":
        return True
    starts = tuple(str(start) for start in values if start) if name in IDS else ()
    return value in values or (value is not None and bool(starts) and value.startswith(starts))
