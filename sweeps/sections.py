"""Types that the sections of a sweep file and of a recipe share, and errors of one line: the key,
the place and the nearest word."""

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


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise ValueError(f"a number of seeds lies between 1 and {MAX_SEEDS}")
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise ValueError(f"give a number such as 6 or a list such as [0, 1, 5], not {value!r:.40}")
    return value


Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Seeds = Annotated[tuple[Seed, ...], BeforeValidator(_seeds), Field(min_length=1)]


class Section(BaseModel):
    """Base class of the sections of a sweep file and of a recipe: frozen, no unknown keys, numbers
    finite and no truth values."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="wrap")
    @classmethod
    def _truth_is_no_number(cls, given: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        # Strict numbers would refuse 1e-3 too, which is a text in YAML.
        found = validate(given)
        _require_same_truth(given, found)
        return found


def _require_same_truth(given: Any, found: Any) -> None:
    if isinstance(given, bool) and isinstance(found, int | float) and found is not given:
        raise PydanticKnownError("int_type" if isinstance(found, int) else "float_type")
    if isinstance(given, list | tuple) and isinstance(found, tuple):
        for one, other in zip(given, found, strict=False):
            _require_same_truth(one, other)


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
