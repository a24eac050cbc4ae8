"""Numbers as printed in papers, to compare with ours. None of them was measured here."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lcma.sweeps import catalog, factorizations


@dataclass(frozen=True)
class Number:
    """One printed number: bits/dim of a flow on a data set under a factorization's name.

    ``split`` is the part of the data set, as far as the source says.
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
        """Source and table, such as `LCMA, Table 1`."""
        return f"{self.source}, Table {self.table}"


@cache
def numbers() -> tuple[Number, ...]:
    """Return all numbers, in the order of the tables."""
    text = (files("lcma.sweeps") / "published.csv").read_text()
    return tuple(
        Number(**(row | {"bits_per_dim": float(row["bits_per_dim"])}))  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )


def names(flow: str, canonical: str, splits: int) -> frozenset[str]:
    """Return the names under which a paper may print a canonical factorization of a flow."""
    conventional = catalog.flows().get(flow, "")
    return factorizations.synonyms(canonical, conventional=conventional, splits=splits)


def find(flow: str, dataset: str, names: Collection[str]) -> list[Number]:
    """Return the numbers printed for any of the names of a factorization, on exactly this set.

    Numbers of one variant of a data set are not compared with another.
    """
    return [
        number
        for number in numbers()
        if (number.flow, number.dataset) == (flow, dataset) and number.factorization in names
    ]
