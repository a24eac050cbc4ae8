"""What sections of sweep files and recipes share: a base class, seeds, and errors in one line."""

from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticKnownError

from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.options import MAX_SEEDS

M = TypeVar("M", bound=BaseModel)


def _parse_seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"a number of seeds lies between 1 and {MAX_SEEDS}")
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise ValueError(f"give a number such as 6 or a list such as [0, 1, 5], not {value!r:.40}")
    return value


Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_parse_seeds), Field(min_length=1)]


class Section(BaseModel):
    """Base class of the sections of sweep files and recipes.

    It is frozen and refuses unknown keys, infinite numbers, and truth values in place of numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _refuse_truth_values(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        # Pydantic's strict numbers would also refuse 1e-3, which YAML reads as a text.
        parsed = validate(value)
        _require_same_truth(value, parsed)
        return parsed


def _require_same_truth(value: Any, parsed: Any) -> None:
    if isinstance(value, bool) and isinstance(parsed, int | float) and parsed is not value:
        raise PydanticKnownError("int_type" if isinstance(parsed, int) else "float_type")
    if isinstance(value, list | tuple) and isinstance(parsed, tuple):
        for item, parsed_item in zip(value, parsed, strict=False):
            _require_same_truth(item, parsed_item)


def validate(model: type[M], value: Any, where: str) -> M:
    """Return ``value`` as a ``model``. Raises UserError, in one line, for the first mistake."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {' '.join(_describe_first(model, error).split())}") from None


def _describe_first(model: type[BaseModel], error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    # An unknown key first: a typing mistake often causes the other errors.
    first = min(errors, key=lambda e: e["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    more = error.error_count() - 1
    tail = f" (and {more} more)" if more else ""
    if first["type"] == "extra_forbidden":
        fields = _list_fields(model, path[:-1])
        return f"unknown key `{key}`: {suggest(path[-1], fields)}{tail}"
    if first["type"] == "missing":
        return f"the key `{key}` is missing{tail}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    shown = repr(first["input"])
    value = f", not {shown}" if first["type"] != "value_error" and len(shown) < 60 else ""
    text = f"{message[0].lower()}{message[1:]}{value}{tail}"
    return f"`{key}`: {text}" if path else text


def _list_fields(model: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        if part not in model.model_fields:
            continue
        annotation = model.model_fields[part].annotation
        for candidate in (annotation, *get_args(annotation)):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
                break
    return list(model.model_fields)
