"""In which settings the recipes of a board's groups differ."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sweeps import settings

if TYPE_CHECKING:
    from harness.report.ranking import Group

SHOWN = ("training.steps",)
"""Settings that a group's title has in any case."""


def mark(groups: "Sequence[Group]", recipes: Mapping[str, str]) -> "list[Group]":
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


def _kind(group: "Group") -> tuple[str, ...]:
    return (group.dataset, group.variant, group.flow, group.profile)


def _body(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
