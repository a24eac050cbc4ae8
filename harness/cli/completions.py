"""Values that a shell completes: sweeps, data sets, flows, factorizations, profiles."""

from collections.abc import Iterable
from itertools import chain

# Recipes take longer to import than the rest of the command line: only what completes has them.


def complete_sweep(incomplete: str) -> list[str]:
    """Return the shipped sweeps that begin so."""
    from lcma.sweeps.catalog import shipped_specs

    return _beginning(incomplete, shipped_specs())


def complete_dataset(incomplete: str) -> list[str]:
    """Return the data sets that begin so, after the last comma."""
    from lcma.sweeps.known_sets import known

    return _listed(incomplete, known())


def complete_flow(incomplete: str) -> list[str]:
    """Return the flows that begin so, after the last comma."""
    from lcma.sweeps.catalog import flows

    return _listed(incomplete, flows())


def complete_factorization(incomplete: str) -> list[str]:
    """Return the factorizations with a name of their own that begin so, after the last comma."""
    from lcma.sweeps.factorizations import NAMES

    return _listed(incomplete, NAMES)


def complete_profile(incomplete: str) -> list[str]:
    """Return the profiles that begin so."""
    from lcma.sweeps import catalog

    names = chain.from_iterable(catalog.profiles(flow) for flow in catalog.flows())
    return _beginning(incomplete, dict.fromkeys(names))


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _listed(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(last, names)]
