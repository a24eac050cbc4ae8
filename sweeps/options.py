"""The options of `lcma plan`, `launch` and `tune`, and of `lcma.plan` and `lcma.launch`.

Each option is defined once, by a field with its type, bounds and help. The command line is made
from these records (`add_options` in `harness/cli/options.py`); functions take them as keywords (PEP
692). To add an option, add a field here and use it.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict, cast, get_args, get_type_hints

from lcma.sweeps.errors import UserError, suggest

MAX_SEEDS = 10_000

Names = str | Sequence[str] | None

Numbers = int | str | Sequence[int] | None


@dataclass(frozen=True)
class Option:
    """Help and bounds of an option, whose field has its name and type."""

    help: str
    metavar: str | None = None
    least: float | None = None
    most: float | None = None
    above: float | None = None  # a bound that is not a valid value itself
    flag: str | None = ""  # another name on the command line; None if it does not exist there
    repeated: bool = False


class Overrides(TypedDict, total=False):
    """The options of a plan, which replace settings of the spec."""

    flow: Annotated[Names, Option("Flows instead of the sweep's, separated by commas")]
    dataset: Annotated[Names, Option("Data sets instead of the sweep's, separated by commas")]
    factorization: Annotated[
        Names, Option("Factorizations instead of the sweep's, separated by commas")
    ]
    profile: Annotated[str | None, Option("Profile instead of the sweep's")]
    seeds: Annotated[
        Numbers, Option("Seeds instead of the sweep's: how many (6), or which (0,1,5 or 6-11)")
    ]
    budget: Annotated[Numbers, Option("Budgets instead of the sweep's, separated by commas")]
    steps: Annotated[int | None, Option("Steps of training instead of the recipe's", flag=None)]
    recipe: Annotated[
        Mapping[str, Any] | Sequence[str] | None,
        Option(
            "Setting instead of the recipe's, such as training.steps=50; repeatable",
            "KEY=VALUE",
            flag="set",
            repeated=True,
        ),
    ]


class _RunOptions(Overrides, total=False):
    local: Annotated[bool, Option("Run in processes of this machine, without Ray")]
    ray: Annotated[str | None, Option("Run on this running Ray cluster", "ADDRESS")]
    gpus: Annotated[
        float | None,
        Option("GPUs of each trial (0 to 1) instead of the sweep's", least=0, most=1),
    ]
    max_device_hours: Annotated[
        float | None,
        Option("End the launch after it has used this many device hours", "HOURS", above=0),
    ]
    max_hours: Annotated[
        float | None, Option("End the launch after this many hours by the clock", "HOURS", above=0)
    ]
    any_code: Annotated[bool, Option("Also run on hosts with other code than this one")]


class LaunchOptions(_RunOptions, total=False):
    """The options of a launch. Without `local` and `ray` it starts Ray on this machine."""

    parallel: Annotated[
        int | None,
        Option("Most jobs of the sweep that run at once, over all launches", "N", least=1),
    ]
    retry: Annotated[bool, Option("Also run jobs again that failed or diverged")]
    skip_invalid: Annotated[bool, Option("Leave out cells that cannot be run")]
    wait_nodes: Annotated[
        int | None,
        Option(
            "With --ray: wait up to five minutes for N nodes, including the head",
            "N",
            least=1,
        ),
    ]
    tensorboard: Annotated[
        str | os.PathLike[str] | None,
        Option("Folder to write the curves to for TensorBoard, as they come", "DIR"),
    ]


class TuneOptions(_RunOptions, total=False):
    """The options of a tuning. `budget` and `local` cannot be set."""

    parallel: Annotated[int | None, Option("Most budgets that are tried at once", "N", least=1)]
    trials: Annotated[
        int | None, Option("Budgets to try instead of the sweep's number", "N", least=2)
    ]


def find_options(record: type) -> dict[str, tuple[type, Option]]:
    """Return the options of a record by name, each with the type of a value.

    The type is bool, int or float, list for an option that can be repeated, and str for all others.
    """
    options: dict[str, tuple[type, Option]] = {}
    for name, hint in get_type_hints(record, include_extras=True).items():
        hinted, option = get_args(hint)
        types = [hinted, *get_args(hinted)]
        simple = [kind for kind in (bool, int, float) if kind in types and str not in types]
        text = list if option.repeated else str
        options[name] = (simple[0] if simple else text), option
    return options


def find_flag(name: str, option: Option) -> str:
    """Return an option's name on the command line, such as `--max-hours`, or in Python."""
    return name if option.flag is None else f"--{option.flag or name.replace('_', '-')}"


def check_options(record: type, options: Mapping[str, Any]) -> Any:
    """Return the options that are not None, with Python's own numbers.

    Raises:
        UserError: If an option is unknown, or a value has another type or is out of bounds.
    """
    known, options = find_options(record), to_plain(options)
    for name, value in options.items():
        if name not in known:
            raise UserError(f"there is no option {name!r}: {suggest(name, known)}")
        kind, option = known[name]
        if value is None or kind in (str, list):
            continue
        numbers = (int,) if kind is int else (int, float)
        valid = isinstance(value, bool) == (kind is bool) and isinstance(value, numbers)
        if valid and kind is not bool:
            least = -math.inf if option.least is None else option.least
            most = math.inf if option.most is None else option.most
            above = -math.inf if option.above is None else option.above
            valid = math.isfinite(value) and least <= value <= most and above < value
        if not valid:
            shown = f"{value:g}" if type(value) is float else repr(value)
            expected = _describe_values(kind, option)
            raise UserError(f"{find_flag(name, option)} {shown}: give {expected}")
    return {name: value for name, value in options.items() if value is not None}


def _describe_values(kind: type, option: Option) -> str:
    """Return words for the valid values, such as `a number of hours above 0`."""
    if kind is bool:
        return "True or False"
    words = "a number" if kind is float else "a whole number"
    words += " of hours" if option.metavar == "HOURS" else ""
    words += "" if option.least is None else f" from {option.least:g}"
    words += "" if option.most is None else f" to {option.most:g}"
    return words + ("" if option.above is None else f" above {option.above:g}")


def format_options(record: type, options: Mapping[str, Any]) -> list[str]:
    """Return options as words of a command line, such as `["--seeds", "6", "--local"]`."""
    words: list[str] = []
    for name, (kind, option) in find_options(record).items():
        flag, value = find_flag(name, option), options.get(name)
        if kind is list:
            words += [word for item in value or () for word in (flag, item)]
        elif value is not None and value is not False:
            words += [flag] if value is True else [flag, f"{value}"]
    return words


def describe_options(record: type) -> str:
    """Return a line for each option, for the docstring of a function with these options."""
    lines = (f"- `{name}`: {option.help}." for name, (_, option) in find_options(record).items())
    return f"\n{' ' * 12}".join(lines)


def choose_overrides(options: Overrides) -> Overrides:
    """Return the options of a launch or a tuning that replace settings of the spec."""
    names = find_options(Overrides)
    return cast(Overrides, {name: value for name, value in options.items() if name in names})


def split_names(option: str, names: Names) -> tuple[str, ...] | None:
    """Return names from a text such as `low,rows`, or from a sequence."""
    if isinstance(names, str):
        return tuple(names.split(","))
    try:
        return None if names is None else tuple(names)
    except TypeError:
        raise UserError(f"--{option} {names!r}: give a name, or a list of names") from None


def parse_budgets(budgets: Numbers) -> tuple[int, ...] | None:
    """Return budgets from a text such as `0,700`, from a number or from a sequence."""
    try:
        if isinstance(budgets, str):
            return tuple(int(part) for part in budgets.split(","))
        given = _convert_numbers(budgets)
        return (given,) if isinstance(given, int) else given
    except (TypeError, ValueError):
        raise UserError(f"--budget {budgets!r}: give steps such as 700 or 0,100,700") from None


def parse_seeds(seeds: Numbers) -> int | tuple[int, ...] | None:
    """Return the number of seeds for `6`, or the seeds for `0,1,5` and `6-11`."""
    try:
        if not isinstance(seeds, str):
            return _convert_numbers(seeds)
        if seeds.strip().isdecimal():
            return int(seeds)
        return tuple(seed for part in seeds.split(",") for seed in _parse_range(part))
    except (TypeError, ValueError, OverflowError):
        raise UserError(
            f"--seeds {seeds!r}: give a number such as 6, a list such as 0,1,5 or a range such as "
            f"6-11, of at most {MAX_SEEDS}"
        ) from None


def _convert_numbers(given: Any) -> int | tuple[Any, ...] | None:
    """Return a whole number or a sequence. Raises TypeError for other values.

    Whoever checks the spec refuses other items.
    """
    given = to_plain(given)
    return given if given is None or isinstance(given, int) else tuple(map(to_plain, given))


def to_plain(value: Any) -> Any:
    """Return a value in which numbers and arrays of NumPy are Python's own, at any depth."""
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = map(to_plain, value)
        return [*items] if isinstance(value, list) else tuple(items)
    return value.tolist() if hasattr(value, "tolist") else value


def _parse_range(text: str) -> range:
    first, dash, last = text.partition("-")
    seeds = range(int(first), int(last if dash else first) + 1)
    if not 0 < len(seeds) <= MAX_SEEDS:
        raise ValueError(text)
    return seeds
