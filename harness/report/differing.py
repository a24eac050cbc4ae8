"""In what the groups of a board differ: settings of their recipes, and what keeps them apart."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lcma.harness.report.text import printable
from lcma.sweeps import settings

if TYPE_CHECKING:
    from lcma.harness.report.ranking import Group

SHOWN = ("training.steps",)
"""Settings that a group's title has in any case."""


def mark_settings(groups: "Sequence[Group]", recipes: Mapping[str, str]) -> "list[Group]":
    """The groups with ``settings`` set where others of their flow, data and profile differ."""
    alike = defaultdict(set)
    for group in groups:
        alike[_kind(group)].add(group.recipe_id)
    texts: dict[str, str] = {}
    for ids in alike.values():
        known = {i: settings.flat(_body(recipes[i])) for i in ids if i in recipes}
        keys = sorted({key for flat in known.values() for key in flat})
        differing = [
            key
            for key in keys
            if key not in SHOWN and len({flat.get(key) for flat in known.values()}) > 1
        ]
        for recipe_id, flat in known.items():
            texts[recipe_id] = " ".join(f"{k}={flat[k]}" for k in differing if k in flat)
    return [replace(group, settings=texts.get(group.recipe_id, "")) for group in groups]


KEYS = ("variant", "data_digest", "profile", "protocol", "precision", "recipe_id")
"""What groups of one flow and data set can differ in; the recipe where nothing else differs."""


def kept_apart(groups: "Sequence[Group]") -> Iterator[str]:
    """A sentence for each flow and data set that has several groups: what they differ in."""
    alike: dict[tuple[str, str], list[Group]] = defaultdict(list)
    for group in groups:
        alike[group.flow, group.dataset].append(group)
    for (flow, dataset), members in sorted(alike.items()):
        if len(members) > 1:
            values = {key: sorted({str(getattr(g, key)) for g in members}) for key in KEYS}
            words = [_words(key, found) for key, found in values.items() if len(found) > 1]
            yield (
                f"Kept apart, since rows that differ in it cannot be ranked together: "
                f"{len(members)} tables of {printable(flow)} on {printable(dataset)}, by "
                f"{'; '.join(words)}."
            )


def _words(key: str, values: "Sequence[str]") -> str:
    named = {"data_digest": "content of the data", "recipe_id": "recipe"}.get(key, key)
    if key in ("data_digest", "recipe_id"):
        return f"{named} ({len(values)})"
    return f"{named} ({', '.join(map(printable, values))})"


def _kind(group: "Group") -> tuple[str, ...]:
    return (group.dataset, group.variant, group.flow, group.profile)


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
