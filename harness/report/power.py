"""What the seeds of a plan could show: a table for a terminal, and a sentence."""

from collections.abc import Callable, Iterator, Sequence

from lcma.harness.results.board import ENOUGH
from lcma.harness.results.power import DIFFERENCES, Power
from lcma.harness.results.statistics import LEVEL, MOST_SEEDS, POWER
from lcma.harness.tables import Table, TableColumn
from lcma.harness.text import format_count


def make_power_table(powers: Sequence[Power]) -> Table:
    """Return a table with a row for each flow, data set and overlay of a plan."""
    names = [f"{one.flow} on {one.dataset}{one.overlay and f', {one.overlay}'}" for one in powers]
    return Table(
        title="What its seeds could show of the difference of two rules",
        columns=(
            TableColumn("flow and data set"),
            TableColumn("seeds", kind="number"),
            TableColumn("show", kind="number", places=3),
            TableColumn("spread", kind="number", places=3),
            *(TableColumn(f"{one}", right=True) for one in DIFFERENCES),
        ),
        rows=tuple(
            (name, one.seeds, one.detectable, one.spread, *_describe_needed(one))
            for name, one in zip(names, powers, strict=True)
        ),
        notes=(
            *(f"Spread of {name}: {one.source}." for name, one in zip(names, powers, strict=True)),
            f"show: the smallest true difference in bits/dim that the planned seeds show with a "
            f"probability of {POWER:.0%} (paired t-test at {LEVEL:.0%}, two-sided, without Holm's "
            f"correction); nothing with fewer than {ENOUGH}. spread: standard deviation of the "
            f"difference over seeds, in the nearest results. {', '.join(map(str, DIFFERENCES))}: "
            f"how many seeds such a difference needs.",
        ),
    )


def _describe_needed(one: Power) -> Iterator[str | None]:
    for size in DIFFERENCES:
        needed = one.needed.get(f"{size}")
        more = None if one.spread is None else f"> {MOST_SEEDS:,}"
        yield more if needed is None else f"{needed:,}"


def summarize_power(powers: Sequence[Power], again: Callable[[int], str]) -> str | None:
    """Return a sentence: what the seeds of the first row show, and how many would show more.

    ``again`` gives the launch of so many seeds. None where no spread is known.
    """
    one = next((one for one in powers if one.spread is not None), None)
    if one is None:
        return None
    verb = "decides" if one.seeds == 1 else "decide"
    shown = f"{verb} nothing"
    if one.detectable is not None:
        shown = f"show a difference of {one.detectable:.2g} bits/dim or more"
    said = f"{one.flow} on {one.dataset}: {format_count(one.seeds, 'seed')} {shown}"
    more = {size: n for size, n in one.needed.items() if n is not None and n > one.seeds}
    if not more:
        return f"{said}."
    size, seeds = more.popitem()
    spread = f"at a spread of {one.spread:.2g} ({one.source})"
    return f"{said}; for {size} bits/dim {seeds} would do (80 % power), {spread}: `{again(seeds)}`"
