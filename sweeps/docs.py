"""The reference part of docs/sweep-files.md, rendered by `python -m lcma.sweeps.docs`."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.recipe import MapOptions, Model, OnlineOptions, Optimization, Training
from lcma.sweeps.spec import Exclusion, Failures, Keep, Matrix, Resources, Spec
from lcma.sweeps.tuning import BudgetRange, Tune

BEGIN = "<!-- The rest is rendered by `python -m lcma.sweeps.docs docs/sweep-files.md`. -->"
"""The line of the document below which everything is rendered."""

SECTIONS: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("The file", "", Spec),
    ("matrix", "matrix.", Matrix),
    ("exclude", "exclude[].", Exclusion),
    ("resources", "resources.", Resources),
    ("failures", "failures.", Failures),
    ("keep", "keep.", Keep),
    ("tune", "tune.", Tune),
    ("tune.budget", "tune.budget.", BudgetRange),
    ("recipe.model", "model.", Model),
    ("recipe.optimization", "optimization.", Optimization),
    ("recipe.training", "training.", Training),
    ("recipe.maps", "maps.", MapOptions),
    ("recipe.maps.online", "maps.online.", OnlineOptions),
)
"""Headings, how keys begin there, and the models whose fields they are."""


def render() -> str:
    """Return every key with its values, default and meaning, as Markdown."""
    sections = [*SECTIONS]
    sections += [
        (f"recipe.model.architecture of {name}", "model.architecture.", flow.architecture)
        for name, flow in REGISTERED.items()
    ]
    return "\n\n".join(_section(*one) for one in sections) + "\n"


def update(path: Path) -> None:
    """Rewrite what stands below the marker line of the document."""
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: text.index(BEGIN)] + BEGIN + "\n\n" + render(), encoding="utf-8")


def _section(heading: str, start: str, model: type[BaseModel]) -> str:
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
    lines = [f"## {heading}", "", about, ""]
    lines += ["| key | default | values, meaning |", "| --- | --- | --- |"]
    schemas = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        lines.append(f"| `{start}{name}` | {_default(field)} | {_meaning(schemas[name], field)} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own"
    if value is None or value in ((), {}, ""):
        return "-"
    return f"`{json.dumps(value)}`"


def _meaning(schema: dict[str, Any], field: FieldInfo) -> str:
    parts = [one for one in (_values(schema), field.description) if one]
    return "; ".join(parts).replace("|", "\\|").replace("``", "`")


def _values(schema: dict[str, Any]) -> str:
    """Return which values a key may have, where they are listed or have limits."""
    found = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    texts = []
    for one in found:
        named = one.get("enum") or ([one["const"]] if "const" in one else [])
        limits = [
            f"{words} {one[key]:g}"
            for key, words in (
                ("minimum", "from"),
                ("exclusiveMinimum", "above"),
                ("maximum", "to"),
                ("exclusiveMaximum", "below"),
            )
            if key in one and one[key] != 2**31 - 1
        ]
        if named:
            texts.append(", ".join(f"`{json.dumps(value)}`" for value in named))
        elif "type" in one:
            texts.append(" ".join([_TYPES.get(one["type"], one["type"]), *limits]))
    return " or ".join(dict.fromkeys(texts))


_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "settings",
}


def main(arguments: list[str]) -> int:
    """Render into the document named, or to standard output; return the exit code."""
    if arguments:
        update(Path(arguments[0]))
    else:
        sys.stdout.write(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
