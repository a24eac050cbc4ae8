"""The paper's tables and figures beside results of any scale."""

import re

import pytest

from lcma.harness.results.paper import ITEMS, scale_table
from lcma.harness.results.verdicts import make_verdicts
from lcma.harness.show.site import SiteOptions
from lcma.sweeps.factorizations import words
from tests.harness.show.conftest import Filler
from tests.harness.show.synthetic import board, rows
from tests.harness.show.test_site import export

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


def test_every_table_and_figure_has_its_page(filler: Filler, tmp_path) -> None:
    even = {seed: 4.0 + seed / 10 for seed in range(6)}
    filler.results({"checkerboard-even": even}, dataset="cifar10-16")
    low = {seed: b + 0.2 + seed % 2 / 100 for seed, b in even.items()}
    filler.results({"LL": low}, budget=100, dataset="cifar10-16")
    filler.results({"checkerboard-even": even}, dataset="celeba64-16")
    filler.results({"LL": {s: b - 0.2 for s, b in even.items()}}, budget=100, dataset="celeba64-16")
    more = {"checkerboard-odd": {s: b + 0.1 for s, b in even.items()}}
    filler.results(more, dataset="celeba64-16")
    filler.results({"HH": {s: b + 0.3 for s, b in even.items()}}, budget=100, dataset="celeba64-16")
    files = export(filler, tmp_path / "site")
    judged = files["verdicts.html"].decode()
    assert "the layout that maps choose costs" in judged, "of four rows"
    assert "*Supported*" not in judged, "no marks of Markdown"
    own, others = files["paper/table2.html"].decode().split("Ours on other data sets")
    assert "+0.205 ±" in own
    assert "-0.200 ±" in others
    front = files["paper.html"].decode()
    for item in ITEMS:
        page = files[f"paper/{item.key}.html"].decode()
        assert f"{item.name} of the paper" in page
        assert f'href="paper/{item.key}.html"' in front
    first = files["paper/table1.html"].decode()
    for number in ("3.49", "3.43", "-0.06", "+0.205 ±", "opposite"):
        assert number in first, number
    assert "Another scale or variant" in first
    assert "fewer bits/dim than the flow" not in files["paper/table4.html"].decode()
    assert "lcma launch table4" in files["paper/table4.html"].decode()


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


def test_samples_stand_on_the_page_of_their_figure(filler: Filler, tmp_path) -> None:
    filler.weights("LL", 0)
    filler.weights("random", 0)
    files = export(filler, tmp_path / "site", SiteOptions(database=False))
    page = files["paper/figure2.html"].decode()
    (link,) = re.findall(r'<img[^>]* src="\.\./(.*?)"', page)  # of low alone
    assert link.endswith("-samples.png")
    assert files[link].startswith(b"\x89PNG")
    assert "No model with low has kept its weights" in files["paper/figure3.html"].decode()


def test_other_measures_leave_the_printed_numbers_alone(filler: Filler, tmp_path) -> None:
    filler.results({"checkerboard-even": {0: 4.0}, "random": {0: 4.1}})
    options = SiteOptions(samples=False, database=False, measure="seconds_per_step")
    files = export(filler, tmp_path / "site", options)
    page = files["paper/table3.html"].decode()
    assert "2.71" in page
    assert "Another scale" not in page
    found = {item.key: item.claims_by("seconds_per_step") for item in ITEMS}
    assert not any(found.values()), "seconds bear on none"
    assert BY_KEY["figure2"].claims_by("swd") == ("low-conventional",)
