"""Recipe settings as nested keys and values: merge, parse and format them."""

from collections.abc import Iterable, Mapping
from typing import Any

from lcma.sweeps import strict_yaml
from lcma.sweeps.errors import UserError


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``below`` with the settings of ``above`` in their place, key by key at every depth.

    Example:
        >>> merge({"model": {"splits": 2, "size": 8}}, {"model": {"splits": 3}})
        {'model': {'splits': 3, 'size': 8}}
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def subtract(settings: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that ``other`` lacks or has with another value, by dotted key.

    Example:
        >>> subtract({"model": {"splits": 3, "size": 8}}, {"model": {"splits": 2, "size": 8}})
        {'model.splits': 3}
    """
    others = dict(_walk(other))
    return {k: v for k, v in _walk(settings) if k not in others or others[k] != v}


def flatten(settings: Mapping[str, Any]) -> dict[str, str]:
    """Flatten `{training: {steps: 300}}` to `{"training.steps": "300"}`."""
    return {key: str(value) for key, value in _walk(settings)}


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """Parse `training.steps=300` into `{training: {steps: 300}}`; values are YAML.

    Raises:
        UserError: If an assignment has no key or no value.

    Example:
        >>> parse(["training.steps=300", "model.splits=3"])
        {'training': {'steps': 300}, 'model': {'splits': 3}}
    """
    merged: dict[str, Any] = {}
    for assignment in assignments:
        if not isinstance(assignment, str):  # from Python
            raise UserError(f"recipe: give a mapping, or texts KEY=VALUE, not {assignment!r}")
        key, equals, value = assignment.partition("=")
        parts = [part.strip() for part in key.split(".")]
        if not equals or not all(parts):
            raise UserError(f"--set {assignment!r}: give KEY=VALUE such as training.steps=300")
        parsed = strict_yaml.parse(f"value: {value}", f"--set {key}")
        if parsed.keys() != {"value"}:  # the value has a line with another key
            raise UserError(f"--set {assignment!r}: give each setting a --set of its own")
        nested: Any = parsed["value"]
        for part in reversed(parts):
            nested = {part: nested}
        merged = merge(merged, nested)
    return merged


def _walk(value: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[str, Any]]:
    """Yield the dotted key and the value of each setting."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, (*path, str(key)))
    elif path:
        yield ".".join(path), value
