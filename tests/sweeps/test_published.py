"""Numbers printed in papers."""

from collections import Counter

import pytest

from lcma.sweeps import catalog, factorizations, known_sets, published


def test_every_number_can_stand_beside_a_cell() -> None:
    for number in published.read_numbers():
        assert number.flow in catalog.flows()
        assert number.dataset in known_sets.known()
        factorizations.normalize(number.factorization)
        assert 2 < number.bits_per_dim < 5
        assert number.split


def test_the_papers_tables_are_whole() -> None:
    tables = Counter(number.table for number in published.read_numbers() if number.source == "LCMA")
    assert tables == {"1": 8, "2": 8, "3": 4, "4": 8}


@pytest.mark.parametrize(
    ("canonical", "splits", "expected"),
    [
        ("LLL", 3, [("1", 2.71), ("3", 2.71), ("4", 2.71)]),
        ("LLLL", 4, [("1", 2.71), ("3", 2.71)]),
        ("checkerboard-even", 4, [("1", 3.02), ("3", 3.02)]),
        ("HLH", 3, [("4", 3.07)]),
        ("random", 4, [("3", 3.05)]),
        ("random-local", 4, []),
        ("checkerboard-odd", 4, []),
    ],
)
def test_a_cell_finds_its_numbers_under_any_of_its_names(
    canonical: str, splits: int, expected: list[tuple[str, float]]
) -> None:
    names = published.list_names("realnvp", canonical, splits)
    numbers = published.find_numbers("realnvp", "celeba64-float", names)
    assert [(number.table, number.bits_per_dim) for number in numbers] == expected
    assert published.find_numbers("realnvp", "photos16", names) == []
