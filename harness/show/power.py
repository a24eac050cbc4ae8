"""What the seeds of a plan could show, in a sentence."""

from collections.abc import Sequence

from lcma.harness.results.board import ENOUGH
from lcma.harness.results.power import SMALL, Power
from lcma.harness.results.statistics import MOST_ADVISED, find_detectable
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
    needed = (one.needed for one in powers if one.spread is not None)
    takes = max(MOST_ADVISED + 1 if n is None else n for n in needed)
    if takes <= max(seeds, ENOUGH):
        return said
    count = f"more than {MOST_ADVISED}" if takes > MOST_ADVISED else f"about {takes}"
    return f"{said}; {SMALL} takes {count}"
