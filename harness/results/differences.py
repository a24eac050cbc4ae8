"""What two trials differ in: what they are, their settings, where they ran, their measures."""

from collections.abc import Iterator, Mapping
from typing import Any

from lcma.db import JobFacts, Store
from lcma.harness.results.lookup import parse_object, read_environment_of
from lcma.sweeps import settings

IDENTITY = (
    *("flow", "dataset", "variant", "data_digest", "profile"),
    *("factorization", "budget", "map_options", "seed"),
)
LOCAL = {"id", "created"}
"""Columns of an environment that say nothing of it."""
NESTED = {"packages", "flags"}
"""Columns of an environment that are JSON."""


Difference = tuple[str, str | float | None, str | float | None, float | None]
"""A name, what each of two trials has under it, None where one has nothing, and of measures the
second less the first."""


def compare_trials(
    store: Store, first: JobFacts, second: JobFacts, protocol: str
) -> tuple[list[Difference], int]:
    """Return in what two trials differ, and how many measures of a protocol are equal."""
    pair = first, second
    recipes = store.recipes([one.recipe_id for one in pair])
    results = [store.result(one.subject, one.data_digest, protocol) for one in pair]
    measures = [{m.name: m.value for m in one.measures} if one else {} for one in results]
    sides = (
        [{name: getattr(one, name) for name in IDENTITY} for one in pair],
        [settings.flat(parse_object(recipes[one.recipe_id].body)) for one in pair],
        [_flatten(read_environment_of(store, one.job_id)) for one in pair],
        measures,
    )
    found = [difference for one, other in sides for difference in _list_differing(one, other)]
    equal = measures[0].items() & measures[1].items()
    return found, len(equal)


def _flatten(environment: Mapping[str, Any]) -> dict[str, Any]:
    nested = {name: parse_object(environment[name]) for name in NESTED & environment.keys()}
    return {k: v for k, v in environment.items() if k not in NESTED | LOCAL} | settings.flat(nested)


def _list_differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for name in (*one, *(name for name in other if name not in one)):
        a, b = one.get(name), other.get(name)
        if a != b:
            gap = b - a if isinstance(a, float) and isinstance(b, float) else None
            yield name, _as_shown(a), _as_shown(b), gap


def _as_shown(value: object) -> str | float | None:
    return value if value is None or isinstance(value, float) else str(value)
