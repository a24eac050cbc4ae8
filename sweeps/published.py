"""The numbers that papers printed, to stand beside ours. None of them was measured here."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lcma.sweeps import catalog, factorizations


@dataclass(frozen=True)
class Number:
    """One printed number: bits/dim of a flow on a data set under a factorization's name.

    ``split`` is the part that it was measured on, as far as the source says.
    """

    source: str
    table: str
    flow: str
    dataset: str
    factorization: str
    bits_per_dim: float
    split: str
    note: str

    @property
    def where(self) -> str:
        """`LCMA, Table 1`."""
        return f"{self.source}, Table {self.table}"


@cache
def numbers() -> tuple[Number, ...]:
    """Every number, in the order of the tables."""
    text = (files("lcma.sweeps") / "published.csv").read_text()
    return tuple(
        Number(**(row | {"bits_per_dim": float(row["bits_per_dim"])}))  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )


def names(flow: str, canonical: str, splits: int) -> frozenset[str]:
    """Under which names a paper would print a canonical factorization of a flow."""
    conventional = catalog.flows().get(flow, "")
    return factorizations.synonyms(canonical, conventional=conventional, splits=splits)


def find(flow: str, dataset: str, names: Collection[str]) -> list[Number]:
    """The numbers printed for any of these names of a factorization, on the set of that name: what
    was measured on one variant does not stand beside another."""
    return [
        number
        for number in numbers()
        if (number.flow, number.dataset) == (flow, dataset) and number.factorization in names
    ]
