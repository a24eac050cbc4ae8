"""Reference pages of the documentation, made from the code when it is built (`make docs`)."""

import inspect
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lcma.db.relations import describe_relation
from lcma.db.schema import metadata
from lcma.db.views import views
from lcma.harness.cli import main as cli
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.measures import SHIPPED
from lcma.sweeps.recipe import MapOptions, Model, OnlineOptions, Optimization, Training
from lcma.sweeps.spec import Exclusion, Failures, Keep, Matrix, Resources, Spec
from lcma.sweeps.tuning import BudgetRange, Tune

WORDS = "New words: [glossary](../glossary.md)."

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
"""Heading, prefix of keys, and model of each section."""

TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "array": "list",
    "object": "settings",
}

LIMITS = {
    "minimum": "from",
    "exclusiveMinimum": "above",
    "maximum": "to",
    "exclusiveMaximum": "below",
}


def make_pages() -> dict[str, str]:
    """Return the Markdown of every page by its name."""
    return {
        "commands": render_commands(),
        "keys": render_keys(),
        "measures": render_measures(),
        "schema": render_schema(),
    }


def write_pages(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(exist_ok=True)
    for name, text in make_pages().items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def list_commands() -> Iterator[tuple[str, Any]]:
    """Yield the full name of every command, and the command."""
    for name, command in typer.main.get_command(cli.app).commands.items():  # type: ignore[attr-defined]  # a group
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", nested) for below, nested in command.commands.items())
        else:
            yield name, command


def render_commands() -> str:
    """Return every command with its options, as in `--help`."""
    commands = dict(list_commands())
    parts = [
        "# Commands and options",
        "`lcma COMMAND --help` shows the same in a terminal. Commands share the options that "
        "[choose rows](../results.md#which-rows), [exit codes](../scripts.md#commands) and "
        f"[variables](../scripts.md#places-and-variables). {WORDS}",
    ]
    for heading, names in cli.GROUPS.items():
        parts.append(f"## {heading}")
        for name, command in commands.items():
            if name.split()[0] in names:
                parts.append(_render_command(name, command))
    return "\n\n".join(parts) + "\n"


def _render_command(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    usage = " ".join(["lcma", name, *map(_name_argument, arguments), "[OPTIONS]"])
    about = inspect.cleandoc(command.help or "").replace("\n\n", "\0").replace("\n", " ")
    rows = []
    for param in command.params:
        if param.name == "help":
            continue
        shown = _name_argument(param) if param in arguments else _name_option(param)
        default = "" if param.default in (None, False, (), []) else f"`{_plain(param.default)}`"
        default = "required" if param.required else default
        rows.append((f"`{shown}`", default, param.help or ""))
    return "\n\n".join(
        [
            f"### lcma {name}",
            f"```\n{usage}\n```",
            about.replace("\0", "\n\n"),
            render_rows(("option", "default", "what"), rows),
        ]
    )


def _name_argument(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    name = name if argument.required else f"[{name}]"
    return name if argument.nargs == 1 else f"{name}..."


def _name_option(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len, reverse=True))
    if option.is_flag:
        return names
    return f"{names} {(option.metavar or 'VALUE').split()[0]}"


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))


def render_keys() -> str:
    """Return every key of a sweep file with its values, default and meaning."""
    sections = [*SECTIONS]
    sections += [
        (f"recipe.model.architecture of {name}", "model.architecture.", flow.architecture)
        for name, flow in REGISTERED.items()
    ]
    head = f"# Keys of sweep files\n\n[Sweep files](../sweep-files.md) has an example. {WORDS}"
    return "\n\n".join([head, *(_render_section(*section) for section in sections)]) + "\n"


def _render_section(heading: str, start: str, model: type[BaseModel]) -> str:
    about = " ".join((model.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")
    schemas = model.model_json_schema()["properties"]
    rows = [
        (f"`{start}{name}`", _render_default(field), _render_meaning(schemas[name], field))
        for name, field in model.model_fields.items()
    ]
    table = render_rows(("key", "default", "values, meaning"), rows)
    return f"## {heading}\n\n{about}\n\n{table}"


def _render_default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own"
    if value is None or value in ((), {}, ""):
        return "-"
    return f"`{json.dumps(value)}`"


def _render_meaning(schema: dict[str, Any], field: FieldInfo) -> str:
    parts = [text for text in (_render_values(schema), field.description) if text]
    return "; ".join(parts).replace("``", "`")


def _render_values(schema: dict[str, Any]) -> str:
    """Return the values that a key may have: a list, or a type with its limits."""
    texts = []
    for kind in schema.get("anyOf", [schema]):
        values = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
        limits = [
            f"{words} {kind[key]:g}"
            for key, words in LIMITS.items()
            if key in kind and kind[key] != 2**31 - 1
        ]
        if values:
            texts.append(", ".join(f"`{json.dumps(value)}`" for value in values))
        elif kind.get("type") not in (None, "null"):
            texts.append(" ".join([TYPES.get(kind["type"], kind["type"]), *limits]))
    return " or ".join(dict.fromkeys(texts))


def render_measures() -> str:
    """Return every measure with its unit and direction."""
    rows = [
        (f"`{kind.name}`", kind.unit, kind.direction or "not ranked", kind.meaning)
        for kind in SHIPPED
    ]
    head = f"# Table of measures\n\n[Measures](../measures.md) says how they are taken. {WORDS}"
    return f"{head}\n\n{render_rows(('measure', 'unit', 'better', 'what it is'), rows)}\n"


def render_schema() -> str:
    """Return every view, table and column with type and meaning."""
    parts = ["# Views and tables", f"`lcma sql --schema` shows this page in a terminal. {WORDS}"]
    parts += ["## Views", *map(_render_relation, views.tables.values())]
    parts += ["## Tables", *map(_render_relation, metadata.sorted_tables)]
    return "\n\n".join(parts) + "\n"


def _render_relation(table: sa.Table) -> str:
    relation = describe_relation(table)
    rows = [(f"`{column.name}`", column.type, column.meaning) for column in relation.columns]
    columns = render_rows(("column", "type", "meaning"), rows)
    parts = [f"### {relation.name}", relation.meaning, columns]
    uniques = [key for key in table.constraints if isinstance(key, sa.UniqueConstraint)]
    notes = [
        f"{kind}: ({', '.join(key.columns.keys())})."
        for kind, keys in (("Unique", uniques), ("Index", table.indexes))
        for key in keys
    ]
    if notes:
        parts.append(" ".join(sorted(notes, reverse=True)))
    return "\n\n".join(parts)


def render_rows(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ("---",) * len(heads)]
    lines += [tuple(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
