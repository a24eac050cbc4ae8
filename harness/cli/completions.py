"""Shell completion of sweeps, data sets, flows, factorizations and profiles."""

from collections.abc import Iterable
from itertools import chain

# Each function imports what it lists, since the recipes take longer to import than the rest of the
# command line.


def complete_sweep(incomplete: str) -> list[str]:
    """Return the shipped sweeps with that beginning."""
    from lcma.sweeps.catalog import shipped_specs

    return _match_beginning(incomplete, shipped_specs())


def complete_dataset(incomplete: str) -> list[str]:
    """Complete the last data set of a list with commas."""
    from lcma.sweeps.known_sets import known

    return _complete_last(incomplete, known())


def complete_flow(incomplete: str) -> list[str]:
    """Complete the last flow of a list with commas."""
    from lcma.sweeps.catalog import flows

    return _complete_last(incomplete, flows())


def complete_factorization(incomplete: str) -> list[str]:
    """Complete the last factorization of a list with commas; words such as LLH are not listed."""
    from lcma.sweeps.factorizations import NAMES

    return _complete_last(incomplete, NAMES)


def complete_profile(incomplete: str) -> list[str]:
    """Return the profiles with that beginning."""
    from lcma.sweeps import catalog

    names = chain.from_iterable(catalog.profiles(flow) for flow in catalog.flows())
    return _match_beginning(incomplete, dict.fromkeys(names))


def _match_beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _complete_last(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _match_beginning(last, names)]
