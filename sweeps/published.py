"""Numbers printed in papers, to compare with ours. None of them was measured here."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from lcma.sweeps import catalog, factorizations


@dataclass(frozen=True)
class Number:
    """A printed number: bits/dim of a flow on a data set with a factorization."""

    source: str
    table: str
    flow: str
    dataset: str
    factorization: str  # as the source names it
    bits_per_dim: float
    split: str  # the part of the data set, as far as the source says
    note: str

    @property
    def where(self) -> str:
        """Source and table, such as `LCMA, Table 1`."""
        return f"{self.source}, Table {self.table}"


@cache
def read_numbers() -> tuple[Number, ...]:
    """Return all printed numbers, in the order of the tables."""
    text = (files("lcma.sweeps") / "published.csv").read_text()
    return tuple(
        Number(**(row | {"bits_per_dim": float(row["bits_per_dim"])}))  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    )


def list_names(flow: str, canonical: str, splits: int) -> frozenset[str]:
    """Return the names that a paper may print for a canonical factorization of a flow."""
    conventional = catalog.flows().get(flow, "")
    return factorizations.synonyms(canonical, conventional=conventional, splits=splits)


def find_numbers(flow: str, dataset: str, names: Collection[str]) -> list[Number]:
    """Return the numbers printed for any of these factorizations, in this variant of the set."""
    return [
        number
        for number in read_numbers()
        if (number.flow, number.dataset) == (flow, dataset) and number.factorization in names
    ]
