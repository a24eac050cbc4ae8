"""Types that the sections of a sweep file share."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_SEEDS = 10_000


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
    """Base class of the sections of a sweep file: no unknown keys, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
