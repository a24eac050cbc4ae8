"""Types that the sections of a sweep file and of a recipe share."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticKnownError

from lcma.sweeps.options import MAX_SEEDS


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
