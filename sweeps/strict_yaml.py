"""Read YAML that cannot run code, repeat a key or expand into gigabytes."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import UNSTORABLE, open_regular

MAX_BYTES = 1_000_000

_MAX_DIGITS = 1000
_OCTAL = re.compile("[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class _StrictLoader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(
                None, None, "aliases (*name) are not read: write out the value", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if isinstance(value, str) and UNSTORABLE.search(value):
            raise yaml.constructor.ConstructorError(
                None, None, "a text holds NUL or half of a character", node.start_mark
            )
        return value

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        _require_plain(node)
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        _require_plain(node)
        return super().construct_yaml_float(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a word", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _require_plain(node: yaml.ScalarNode) -> None:
    """Refuse long numbers, and numbers that YAML 1.1 reads in base 60 or 8."""
    # Few people mean those bases. Python converts no integer of more than 4300 digits to text.
    text = node.value
    shown = text if len(text) <= 20 else f"{text[:20]}..."
    if len(text) > _MAX_DIGITS:
        problem = f"{shown} has {len(text)} characters, too many for a number"
    elif _SEXAGESIMAL.fullmatch(text):
        problem = f"{shown} would be a number of base 60: write a decimal one, or quote a text"
    elif _OCTAL.fullmatch(text):
        problem = f"{shown} would be a number of base 8: write a decimal one, or quote a text"
    else:
        return
    raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)


def parse(text: str, where: str) -> dict[str, Any]:
    """Parse a YAML text into a mapping. Raises UserError naming ``where`` and the line."""
    try:
        value = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"{where}, line {mark.line + 1}" if mark else where
        problem = " ".join(str(error.problem or error.context).split())
        raise UserError(f"{at}: not readable as YAML: {problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not readable as YAML: {' '.join(str(error).split())}") from None
    # PyYAML raises these for a tag that does not fit its text, such as !!int ''.
    except (ValueError, LookupError, TypeError, AttributeError):
        problem = "a number, date or tag does not fit its text"
        raise UserError(f"{where}: not readable as YAML: {problem}") from None
    except RecursionError:
        raise UserError(f"{where}: not readable as YAML: nested too deeply") from None
    if value is None:
        raise UserError(f"{where} is empty: a sweep needs at least `name` and `matrix`")
    if not isinstance(value, dict):
        raise UserError(f"{where} holds a {type(value).__name__}, not a mapping of keys to values")
    if not all(isinstance(key, str) for key in value):
        raise UserError(f"{where}: every key must be a word")
    return value


def read(path: Path) -> dict[str, Any]:
    """Parse a YAML file of at most MAX_BYTES. Raises UserError as `parse` does."""
    try:
        with open_regular(path) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES:,} bytes: it is not a sweep file")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file in UTF-8") from None
    return parse(text, str(path))
