"""The paper's tables and figures beside results of any scale."""

import pytest

from lcma.harness.results.paper import ITEMS, scale_table
from lcma.harness.results.verdicts import make_verdicts
from lcma.sweeps.factorizations import words
from tests.harness.show.synthetic import board, rows

BY_KEY = {item.key: item for item in ITEMS}

SHIFTS = (0.011, -0.004, 0.002)


def bits(**means: float) -> dict[str, dict[int, float]]:
    return {
        name.replace("_", "-"): {s: mean + k for s, k in enumerate(SHIFTS)}
        for name, mean in means.items()
    }


def test_a_small_set_stands_beside_the_set_that_it_is_of() -> None:
    found = rows(bits(checkerboard_even=4.9, LLL=4.92), dataset="cifar10-16")
    (table,) = scale_table(board(found), BY_KEY["table1"])
    assert table.printed_of == "realnvp on cifar10"
    own, low = table.rows
    assert (own.rule, own.printed, own.difference) == ("conventional", 3.49, None)
    assert (low.rule, low.printed, low.printed_difference) == ("low", 3.43, -0.06)
    assert low.difference is not None
    assert low.difference.mean == pytest.approx(0.02)
    faces = rows(bits(checkerboard_even=4.9, LLL=4.92), dataset="celeba64-16")
    (table,) = scale_table(board(faces), BY_KEY["table1"])
    assert table.printed_of == "realnvp on celeba64-float", "the variant that was printed"
    (table,) = scale_table(board(rows(bits(checkerboard_even=4.9, LLL=4.92))), BY_KEY["table1"])
    assert table.printed_of is None, "photographs of ours are in no paper"
    assert table.rows[1].difference is not None


def test_a_table_of_flows_takes_the_printed_numbers_of_the_flow() -> None:
    of_flow = [rows(bits(channel=4.9, LL=4.92), flow=f, splits=2) for f in ("glow", "resflow")]
    tables = scale_table(board([*of_flow[0], *of_flow[1]]), BY_KEY["table2"])
    printed = {t.cells.group.flow: (t.printed_of, t.rows[1].printed) for t in tables}
    assert printed == {
        "glow": ("glow on cifar10", 3.31),
        "resflow": ("resflow on cifar10", 3.25),
    }
    for key in ("table1", "table3", "table4"):
        assert scale_table(board(of_flow[0]), BY_KEY[key]) == [], "which is of RealNVP alone"


def test_rules_that_were_not_trained_stay_empty_and_one_alone_is_no_table() -> None:
    some = bits(**dict.fromkeys(sorted(words(3))[3:], 4.9))
    (table,) = scale_table(board(rows(some)), BY_KEY["table4"])
    assert [row.rule for row in table.rows] == list(BY_KEY["table4"].rules)
    assert sum(row.row is not None for row in table.rows) == 5
    assert all(row.printed is not None for row in table.rows)
    assert scale_table(board(rows(bits(HHH=4.9))), BY_KEY["table3"]) == []
    other = rows(some, protocol="paper")
    assert scale_table(board(other), BY_KEY["table4"]) == []


def test_every_form_of_a_set_counts_as_it() -> None:
    found = [
        *rows(bits(checkerboard_even=4.9, LLL=4.92), dataset="cifar10-16"),
        *rows(bits(checkerboard_even=4.9, LLL=4.92), dataset="cifar10", recipe_id="c" * 20),
        *rows(
            bits(checkerboard_even=4.9, LLL=4.92),
            dataset="celeba64-16",
            variant="float",
            data_digest="e" * 64,
        ),
    ]
    verdicts = make_verdicts(board(found)).verdicts
    own, others = BY_KEY["table3"].split_by_data(verdicts)
    assert {one.claim.cells.group.set_name for one in own} == {"celeba64-16-float"}
    own, others = BY_KEY["table2"].split_by_data(verdicts)
    by_set = {one.claim.cells.group.set_name for one in own if len(one.claim.members) == 1}
    assert by_set == {"cifar10-16", "cifar10"}
    assert all(any(c.group.dataset == "celeba64-16" for c in v.claim.members) for v in others)
    assert "faces" in {one.claim.key for one in others}, "of both sets"
    assert BY_KEY["figure1"].split_by_data(verdicts)[1] == [], "which is of none"


def test_seconds_bear_on_no_table() -> None:
    found = {item.key: item.claims_by("seconds_per_step") for item in ITEMS}
    assert not any(found.values()), "seconds bear on none"
    assert BY_KEY["figure2"].claims_by("swd") == ("low-conventional",)
