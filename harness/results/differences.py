"""What two trials differ in: what they are, their settings, where they ran, their measures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class TrialDifference:
    """What two trials have under one name, None where one has nothing: text, or a measure."""

    name: str
    first: str | float | None
    second: str | float | None

    @property
    def gap(self) -> float | None:
        """The second measure less the first."""
        if isinstance(self.first, float) and isinstance(self.second, float):
            return self.second - self.first
        return None


def compare_trials(
    store: Store, first: JobFacts, second: JobFacts, protocol: str
) -> tuple[list[TrialDifference], int]:
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


def _list_differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[TrialDifference]:
    for name in (*one, *(name for name in other if name not in one)):
        a, b = one.get(name), other.get(name)
        if a != b:
            yield TrialDifference(name, _as_shown(a), _as_shown(b))


def _as_shown(value: object) -> str | float | None:
    return value if value is None or isinstance(value, float) else str(value)
