"""The board's statistics, against scipy and values worked out by hand."""

import json
import re

import numpy as np
import pytest
from scipy import stats

from lcma.db import connect, select_view
from lcma.harness.results.board import filter_board, read_board
from lcma.harness.results.statistics import Summary
from lcma.harness.shards import open_reference
from lcma.harness.show.board import board_as_markdown, render_board
from lcma.harness.show.notes import list_notes
from lcma.sweeps.errors import UserError
from tests.harness.show import synthetic
from tests.harness.show.synthetic import board_of, make_bar, print_text, row, wobbling


def rows_of(board):
    """The rows of the only group by rule and budget."""
    (group,) = board.groups
    return {(row.factorization, row.budget): row for row in group.rows}


def rows_by_rule(board):
    return {rule: row for (rule, _), row in rows_of(board).items()}


def show(board, width=80, **options):
    return print_text(render_board(board, **options), width)


def notes_of(board):
    """The notes on the only group."""
    (group,) = board.groups
    return " ".join(list_notes(group))


def test_rows_are_sorted_and_compared_by_common_seeds(filled):
    (group,) = read_board(filled.store).groups
    assert [row.factorization for row in group.rows] == ["channel", "checkerboard-even", "random"]
    channel, even, random = group.rows
    assert (even.conventional, even.difference, group.reference) == (True, None, even.factorization)
    values = [4.00, 4.32, 4.05, 3.97]
    assert (channel.n, channel.seeds) == (4, (0, 1, 2, 3))
    interval = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (channel.mean, channel.deviation, channel.low, channel.high) == pytest.approx(
        (np.mean(values), np.std(values, ddof=1), *interval)
    )
    expected = stats.ttest_1samp([-0.10, 0.02, -0.20, -0.03], 0.0).confidence_interval(0.95)
    difference = channel.difference
    assert difference.n == 4
    assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high))
    # Seeds 0 and 1: +0.40 and +0.30; t(1, 0.975) = 12.7062.
    assert random.difference.n == 2
    assert random.difference.mean == pytest.approx(0.35)
    assert random.difference.half_width == pytest.approx(12.7062 * 0.05, rel=1e-5)


@pytest.mark.parametrize(("seed", "difference"), [(0, Summary(1, 0.5)), (1, None)])
def test_one_pair_has_no_interval_and_no_common_seed_no_difference(seed, difference):
    board = board_of([row("checkerboard-even", 0, 4.0), row("channel", seed, 4.5)])
    channel = rows_of(board)["channel", None]
    assert (channel.deviation, channel.difference) == (None, difference)
    assert ("different seeds" in notes_of(board)) == bool(seed)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "photos32"},
        {"variant": "float"},
        {"data_digest": "e" * 64},
        {"flow": "glow"},
        {"recipe_id": "other"},
        {"protocol": "published"},
        {"precision": "float64"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_rows_that_differ_are_never_ranked_together(change):
    board = board_of([row("checkerboard-even", 0, 4.0), row("channel", 0, 3.0, **change)])
    assert [len(group.rows) for group in board.groups] == [1, 1]
    assert all(r.difference is None for group in board.groups for r in group.rows)


def test_two_results_of_one_seed_are_refused():
    with pytest.raises(UserError, match=r"seed 0 of .* has two results"):
        board_of([row("channel", 0, 4.0), row("channel", 0, 4.0)])


def test_lost_trials_are_reported(filled):
    filled.fail(filled.plan("channel", 4), "diverged", "loss is NaN")
    filled.fail(filled.plan("rows", 0), "oom", "out of memory")
    board = read_board(filled.store)
    rows = rows_by_rule(board)
    assert (rows["channel"].diverged, rows["channel"].n) == (1, 4)
    assert (rows["rows"].failed, rows["rows"].mean) == (1, None)
    assert board.groups[0].rows[-1].factorization == "rows"
    assert (board.diverged, board.failed) == (1, 1)
    (group,) = read_board(filled.store, seed=[0, 4]).groups
    assert sum(row.diverged + row.failed for row in group.rows) == 2, "a list filters them too"
    assert (lost := read_board(filled.store, rule="rows")).failed == 1
    assert lost.diverged == 0
    assert "1 trial diverged, 1 failed: `lcma status` says why." in " ".join(show(board).split())
    random = filter_board(board, ["random"])
    assert (random.diverged, random.failed) == (0, 0)


def test_a_lost_trial_at_another_budget_does_not_make_the_reference_ambiguous(filled):
    filled.fail(filled.plan("low", 0, budget=500), "diverged", "loss is NaN")
    filled.finish(filled.plan("low", 0, budget=100), 4.0)
    channel = rows_by_rule(read_board(filled.store, against="low"))["channel"]
    assert channel.difference is not None


def test_notes_state_precision_seeds_and_losses(filled):
    notes = notes_of(read_board(filled.store))
    assert "100 test images in 3 photographs" in notes
    assert "standard error by photograph is at most 0.0100 bits/dim" in notes
    assert "Fewer than 6 seeds decide nothing" in notes
    assert "no published benchmark" in notes


def test_a_note_says_that_a_flow_without_splits_is_larger():
    def notes(*rules):
        return notes_of(board_of([row(name, 0, 4.0) for name in rules]))

    (note,) = re.findall("[^.]*its model is larger[^.]*", notes("none", "channel"))
    assert "three to four times their parameters" in note
    assert "its model is larger" not in notes("none") + notes("channel", "rows")


@pytest.mark.parametrize(
    ("verdict", "subset"),
    [
        ("official", False),
        ("published counts", False),
        ("subset or other (1 of 7 files match)", True),
    ],
)
def test_subsets_of_published_sets_are_named(filler, verdict, subset):
    manifest = json.dumps({"source": {"verdict": verdict}})
    filler.data("c" * 64, "cifar10", manifest)
    filler.results({"channel": {0: 3.5}}, digest="c" * 64, dataset="cifar10")
    notes = notes_of(read_board(filler.store))
    assert ("cifar10 is not the whole official set: do not compare" in notes) is subset


@pytest.mark.parametrize(
    ("dataset", "variant", "words"),
    [
        ("celeba64", "float", "do not bound the bits of discrete images"),
        ("celeba64-16", "float", "do not bound the bits of discrete images"),
        ("celeba64", "u8", "as in the variant float"),
        ("imagenet32", "npz", "easier, by roughly 0.3 bits/dim"),
        ("imagenet64", "png", ""),
        ("cifar10", "u8", ""),
    ],
)
def test_a_note_says_what_a_variant_is_not_comparable_with(dataset, variant, words):
    notes = notes_of(board_of([row("channel", 0, 4.0, dataset=dataset, variant=variant)]))
    assert words in notes
    remarks = [s for s in ("do not bound", "the variant float", "easier, by") if s in notes]
    assert len(remarks) == bool(words)


def test_filters_keep_the_conventional_row(filled):
    board = filter_board(read_board(filled.store), ["random"])
    assert set(rows_of(board)) == {("random", None), ("checkerboard-even", None)}
    assert filter_board(read_board(filled.store), ["keep-ad", "random"]) == board
    assert rows_of(board)["random", None].difference.n == 2
    assert rows_of(board)["checkerboard-even", None].best, "of the rows that are left"
    with pytest.raises(UserError, match="no results of rows here: there are channel"):
        filter_board(read_board(filled.store), ["rows"])
    with pytest.raises(UserError, match="unknown factorization"):
        filter_board(read_board(filled.store), ["rowz"])
    board = board_of([row("LLL", 0, 4.0, budget=10), row("channel", 0, 4.5)])
    assert set(rows_of(filter_board(board, ["low"]))) == {("LLL", 10)}


def test_sets_with_most_images_and_seeds_come_first():
    few, many = ({"LLL": dict.fromkeys(range(n), 4.0)} for n in (2, 6))
    rows = synthetic.rows(few, dataset="celeba64-16", images=100, data_digest="a" * 64)
    rows += synthetic.rows(few, dataset="cifar10", images=10_000, data_digest="b" * 64)
    for steps, bits in ((250, few), (500, many)):
        of_steps = {"steps": steps, "recipe_id": f"{steps:020}", "images": 10_000}
        rows += synthetic.rows(bits, dataset="cifar10-16", data_digest="c" * 64, **of_steps)
    order = [("cifar10-16", 500), ("cifar10-16", 250), ("cifar10", 250), ("celeba64-16", 250)]
    assert [(group.dataset, group.steps) for group in board_of(rows).groups] == order


def test_a_row_is_one_line_with_printed_numbers_and_options():
    ours = {"dataset": "cifar10", "size": 32}
    rows = [row("checkerboard-even", seed, 4.0 + seed, **ours) for seed in range(6)]
    rows += [row("LLL", seed, 4.1 + seed, budget=1000, **ours) for seed in range(6)]
    lines = show(board_of(rows), notes=False).splitlines()
    assert max(map(len, lines)) <= 80
    line = next(line for line in lines if line.startswith("low (LLL)"))
    assert len(line.split()) == 10, "rule (2), budget, n, mean, sd, difference, ±, than, printed"
    options = '{"rule":"sha256:e66e43f1396c"}'
    rows = [row("checkerboard-even", 0, 4.0)]
    rows += [row("alternate", seed, 4.1, map_options=options) for seed in (0, 1)]
    lines = show(board_of(rows), 100, notes=False).splitlines()
    (line,) = [line for line in lines if line.startswith("alternate rule e66e43f1396c")]
    assert line.split()[4] == "1/2", "pairs and seeds"


BARS = {
    "d" * 64: [
        make_bar("gaussian", 6.0),
        make_bar("webp", 4.1),
        make_bar("full-gaussian", None, "too few"),
    ]
}


THREE = [row("checkerboard-even", 0, 4.0), row("channel", 0, 4.1), row("rows", 0, 7.0)]


def test_a_row_clears_the_bars_if_it_is_below_the_lowest():
    board = board_of(THREE, bars=BARS)
    cleared = {rule: row.cleared for rule, row in rows_by_rule(board).items()}
    assert cleared == {"checkerboard-even": True, "channel": False, "rows": False}
    text = show(board)
    assert "Bars: webp" in text
    assert "channel †" in text
    assert "checkerboard-even * †" not in text
    assert "†: undertrained" in text
    assert "No bar full-gaussian: too few" in text
    without = board_of(THREE)
    assert {row.cleared for row in rows_of(without).values()} == {None}
    assert "launch again to measure them" in " ".join(show(without).split())


def test_printed_numbers_are_in_the_rows_of_their_cells():
    rules = ("checkerboard-even", "L", "random-local")
    board = board_of([row(rule, 0, 3.6, dataset="cifar10", splits=1) for rule in rules])
    assert {
        rule: [number.bits_per_dim for number in row.published]
        for rule, row in rows_by_rule(board).items()
    } == {"checkerboard-even": [3.49, 3.49], "L": [3.43, 3.43], "random-local": []}
    assert "3.49 (LCMA, Table 1), 3.49 (LCMA, Table 2)" in board_as_markdown(board)
    assert "3.49 (LCMA, Table 1, test): as printed in RealNVP." in notes_of(board)
    assert "| printed |" in board_as_markdown(board)
    assert "| printed |" not in board_as_markdown(board_of(THREE))


def test_groups_name_the_settings_in_which_they_differ():
    recipes = {
        "a": '{"model":{"masks":"odd-first","width":8},"training":{"steps":250}}',
        "b": '{"model":{"masks":"even-first","width":8},"training":{"steps":250}}',
    }
    rows = [row("channel", 0, 4.0, recipe_id=name) for name in "ab"]
    board = board_of(rows, recipes=recipes)
    settings = ["model.masks=odd-first", "model.masks=even-first"]
    assert [group.settings for group in board.groups] == settings
    assert "250 steps, 3 splits; model.masks=even-first" in " ".join(show(board).split())
    lengths = {"a": '{"training":{"steps":1}}', "b": '{"training":{"steps":2}}'}
    longer = board_of(rows, recipes=lengths)
    assert {group.settings for group in longer.groups} == {""}, "the title says the steps anyway"
    for other in ({"flow": "glow"}, {"dataset": "photos32"}):
        elsewhere = board_of([rows[0], rows[1] | other], recipes=recipes)
        assert {group.settings for group in elsewhere.groups} == {""}, "no variation of one table"


def means_against(rows, against):
    """By rule and budget the mean difference from a row, None for the row itself."""
    return {
        key: row.difference and round(row.difference.mean, 9)
        for key, row in rows_of(board_of(rows, against=against)).items()
    }


def test_differences_from_any_row():
    even, odd, low = ("checkerboard-even", None), ("checkerboard-odd", None), ("LLL", 100)
    bits = {even: 4.0, odd: 4.2, low: 4.1}
    rows = [
        row(name, seed, value + seed, budget=budget)
        for (name, budget), value in bits.items()
        for seed in (0, 1)
    ]
    assert means_against(rows, "checkerboard-odd") == {even: -0.2, low: -0.1, odd: None}
    assert means_against(rows, "low") == {even: -0.1, low: None, odd: 0.1}
    board = board_of(rows, against="checkerboard-odd")
    assert [key for key, row in rows_of(board).items() if row.reference] == [odd]
    assert [key for key, row in rows_of(board).items() if row.conventional] == [even]
    assert "*: checkerboard-odd. Differences are from this row" in " ".join(show(board).split())
    assert set(means_against(rows, "random").values()) == {None}


def test_a_reference_with_several_budgets_needs_one():
    rows = [row("LLL", 0, budget / 100, budget=budget) for budget in (100, 1000, 200)]
    choice = "low has several rows here, .* give one of low@100, low@200, low@1000"
    with pytest.raises(UserError, match=choice):
        board_of(rows, against="low")
    means = {("LLL", 100): -9.0, ("LLL", 200): -8.0, ("LLL", 1000): None}
    assert means_against(rows, "low@1000") == means
    assert board_of(rows, against="low@300").groups[0].reference is None


def test_a_rule_of_a_plug_in_that_is_not_loaded_can_be_the_reference():
    rows = [row("columns", 0, 4.0), row("channel", 0, 4.1), row("channel", 0, 4.2, flow="glow")]
    groups = board_of(rows, against="columns").groups
    assert {group.flow: group.reference for group in groups} == {"realnvp": "columns", "glow": None}


def test_a_reference_has_no_map_options():
    swapped = '{"masks": "swapped"}'
    rows = [row("checkerboard-even", 0, 5.0), row("LLL", 0, 4.0, budget=100)]
    rows.append(row("LLL", 0, 3.0, budget=100, map_options=swapped))
    (group,) = board_of(rows, against="low").groups
    differences = {row.map_options: row.difference for row in group.rows if row.budget}
    assert (differences[None], differences[swapped].mean) == (None, -1.0)


def test_two_versions_of_a_plug_ins_own_rule_leave_no_row_to_compare_with():
    """One edit of its file makes them; `--against` names one, and nobody asked for it here."""
    rows = [row("channel", 0, 4.1)]
    for version in ("a", "b"):
        options = f'{{"rule":"sha256:{version * 12}"}}'
        rows.append(row("checkerboard-even", 0, 4.0, map_options=options))
    (group,) = board_of(rows).groups
    assert (len(group.rows), group.reference) == (3, None)
    assert {row.difference for row in group.rows} == {None}
    with pytest.raises(UserError, match="several rows here"):
        board_of(rows, against="checkerboard-even")


def test_a_row_is_better_or_worse_or_neither_by_the_interval_of_six_pairs():
    rows = wobbling("checkerboard-even", 4.2) + wobbling("channel", 4.0, turn=2)
    rows += wobbling("rows", 4.5, turn=3) + wobbling("random-local", 4.2005, turn=4)
    rows += wobbling("random", 3.0, 5)
    by_rule = rows_by_rule(board_of(rows))
    assert {rule: row.than_reference for rule, row in by_rule.items()} == {
        "checkerboard-even": None,
        "channel": "better",
        "rows": "worse",
        "random-local": "neither",
        "random": None,
    }
    assert [rule for rule, row in by_rule.items() if row.best] == ["channel"], "of six seeds"
    rows = wobbling("channel", 4.0) + wobbling("rows", 4.0005, turn=2)
    by_rule = rows_by_rule(board_of(rows + wobbling("random", 4.5, turn=3)))
    near = {rule: row.near_best for rule, row in by_rule.items()}
    assert near == {"channel": True, "rows": True, "random": False}


def test_a_table_has_pairs_beside_seeds_and_calls_no_row_of_fewer_than_six_pairs_best():
    even, channel = wobbling("checkerboard-even", 4.2, 6), wobbling("channel", 4.0, 7, turn=2)
    text = show(board_of(even + channel), notes=False)
    assert re.search(r"even \* +- +6 ", text)
    assert re.search(r"channel +- +6/7 .* better best\n", text)
    assert "n: pairs of seeds / seeds behind the mean" in text
    assert "neither" not in text
    few = show(board_of(even[:5] + channel), notes=False)
    assert "5/7" in few
    assert "best" not in few


@pytest.mark.integration
def test_the_view_board_is_the_board_of_the_reference():
    store = connect(str(open_reference()), create=False)
    of_group = ("dataset", "variant", "data_digest", "flow", "recipe_id", "precision")
    of_row = ("factorization", "budget", "map_options")
    columns_by_key = {}
    for record in store.rows(select_view("board")):
        columns = record._mapping
        columns_by_key[tuple(columns[name] for name in (*of_group, *of_row))] = columns
    assert len(columns_by_key) == len(store.view("board")) > 100
    close = {"abs": 1e-12, "rel": 0}
    for group in read_board(store, protocol="plain", map_options=None).groups:
        for board_row in group.rows:
            if board_row.mean is None:
                continue
            key = [getattr(group, name) for name in of_group]
            key += [getattr(board_row, name) for name in of_row]
            columns, difference = columns_by_key.pop(tuple(key)), board_row.difference
            assert columns["mean"] == pytest.approx(board_row.mean, **close)
            deviation = board_row.deviation
            assert columns["deviation"] == (deviation and pytest.approx(deviation, **close))
            pairs = difference.n if difference else 0
            assert columns["n"] == (board_row.n if board_row.reference else pairs)
            mean = difference and pytest.approx(difference.mean, **close)
            assert columns["difference"] == mean
            half = difference and difference.half_width
            assert columns["half_width"] == (half and pytest.approx(half, **close))
            assert (columns["conventional"] == columns["factorization"]) == board_row.reference
    assert columns_by_key == {}
