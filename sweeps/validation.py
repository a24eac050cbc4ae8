"""Validate with pydantic, with errors of one line: the key, the place and the nearest word."""

from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from lcma.sweeps.errors import UserError, suggest

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], value: Any, where: str) -> M:
    """Return ``value`` as a ``model``. Raises UserError of one line for the first error."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {' '.join(_first(model, error).split())}") from None


def _first(model: type[BaseModel], error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")  # a typo explains the rest
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    more = error.error_count() - 1
    tail = f" (and {more} more)" if more else ""
    if first["type"] == "extra_forbidden":
        fields = _fields(model, path[:-1])
        return f"unknown key `{key}`: {suggest(path[-1], fields)}{tail}"
    if first["type"] == "missing":
        return f"the key `{key}` is missing{tail}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    shown = repr(first["input"])
    got = f", not {shown}" if first["type"] != "value_error" and len(shown) < 60 else ""
    said = f"{message[0].lower()}{message[1:]}{got}{tail}"
    return f"`{key}`: {said}" if path else said


def _fields(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        if part not in model.model_fields:
            continue
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return list(model.model_fields)
