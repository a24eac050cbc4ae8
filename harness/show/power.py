"""What the seeds of a plan could show, in a sentence, and what would show more."""

from collections.abc import Callable, Sequence

from lcma.harness.results.board import ENOUGH
from lcma.harness.results.power import Power
from lcma.harness.results.statistics import MOST_ADVISED, find_detectable
from lcma.harness.show.data_sets import FEW
from lcma.harness.text import format_count


def describe_power(powers: Sequence[Power]) -> str | None:
    """Return what the planned seeds show of a difference of two rules, and what a smaller takes.

    Of several flows and data sets it has the ends. None where no two rules are planned.
    """
    if not powers:
        return None
    spreads = sorted(one.spread for one in powers if one.spread is not None)
    if not spreads:
        return "not known: no results of the same flow tell how far seeds spread"
    seeds = min(one.seeds for one in powers)
    smallest = [f"{find_detectable(max(seeds, ENOUGH), one):.2g}" for one in spreads]
    shown = f"{' to '.join(dict.fromkeys((smallest[0], smallest[-1])))} bits/dim"
    said = f"{format_count(seeds, 'seed')} show{'s' if seeds == 1 else ''} {shown}"
    if seeds < ENOUGH:
        decide = "decides" if seeds == 1 else "decide"
        said = f"{format_count(seeds, 'seed')} {decide} nothing; {ENOUGH} show {shown}"
    size, needed = "0.01", [one.needed["0.01"] for one in powers if one.needed]
    most = [n for n in needed if n is None or n > max(seeds, ENOUGH)]
    if not most:
        return said
    takes = max(MOST_ADVISED + 1 if n is None else n for n in most)
    count = f"more than {MOST_ADVISED}" if takes > MOST_ADVISED else f"about {takes}"
    return f"{said}; {size} takes {count}"


def advise(
    powers: Sequence[Power], again: Callable[[int], str], *, undertrained: int, images: int | None
) -> str | None:
    """Return what would decide more: a longer training, more images, or more seeds.

    Args:
        powers: What the seeds show; the first whose spread is known counts.
        again: Returns the launch of so many seeds.
        undertrained: Rows that lose to a bar.
        images: Test images of the set with the fewest, None where it is not known.
    """
    if undertrained:
        rows = "1 row loses" if undertrained == 1 else f"{undertrained} rows lose"
        return f"{rows} to a bar: train longer, or on more images, before more seeds."
    if images is not None and images < FEW:
        return f"{images} test images are few, and all rests on them: take more images."
    one = next((one for one in powers if one.spread is not None), None)
    if one is None:
        return None
    more = {size: n for size, n in one.needed.items() if n is None or n > one.seeds}
    said = f"{one.flow} on {one.dataset}: {describe_power([one])}."
    if not more:
        return said
    size, seeds = more.popitem()
    if seeds is None or seeds > MOST_ADVISED:
        return said
    return f"{said} For {size} bits/dim: `{again(seeds)}`"
