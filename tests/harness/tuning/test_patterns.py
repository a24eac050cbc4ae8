"""A search over patterns: successive halving, whoever works on it and however often it dies."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lcma import db
from lcma.harness.cli.tuning import outcome_as_dict
from lcma.harness.place import Place
from lcma.harness.run.cluster import RayExecutor
from lcma.harness.tuning.outcome import finals_spec, read_patterns, render_patterns
from lcma.harness.tuning.patterns import PatternStudy, choose_best
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand
from lcma.sweeps.factorizations import PAIRS, pattern_pair, patterns
from lcma.sweeps.spec import Resources
from tests.faults.moments import Death, in_child
from tests.harness.conftest import merged
from tests.harness.tuning.conftest import (
    STEPS,
    Tuning,
    load_measure,
    make,
    rendered,
)
from tests.stores import list_lost

Make = Callable[..., Tuning]
History = list[tuple[str, str, dict[int, float]]]

SEARCH: dict[str, Any] = {
    "tune": {
        "budget": None,
        "trials": 20,
        "patterns": {"rungs": [2, 4], "reduction": 3},
    }
}
"""All six patterns of one split, two of which are trained further."""


def with_splits(splits: int, **search: Any) -> dict[str, Any]:
    return {
        "recipe": {"model": {"splits": splits}},
        "tune": SEARCH["tune"] | {"patterns": search},
    }


def known_best(pattern: str, steps: int) -> float:
    """A value that is lowest for `ad`, then `bc`, and is told better the longer a training is."""
    pairs = [pattern_pair(pattern, split) for split in range(2)]
    far = sum(("ad", "bc", "ab", "cd", "ac", "bd").index(pair or "") for pair in pairs)
    return 5 + 0.1 * far + (hash_of(pattern) % 7) / steps


def hash_of(pattern: str) -> int:
    return sum(ord(letter) * (k + 1) for k, letter in enumerate(pattern))


def search(study: PatternStudy, value: Callable[[str, int], float], most: int = 10**9) -> None:
    """Report what the study lacks, at most so many values."""
    while found := study.find_rung():
        steps, lacking = found
        for pattern in lacking:
            if most <= 0:
                return
            most -= 1
            study.report(pattern, steps, value(pattern, steps))


def of(tuned: Tuning) -> PatternStudy:
    return PatternStudy(tuned.store, tuned.target, tuned.digest)


def history(tuned: Tuning) -> History:
    trials = tuned.study.trials
    return sorted((t.user_attrs["pattern"], t.state.name, t.intermediate_values) for t in trials)


@pytest.fixture(scope="module")
def left_alone(few_root: Path, tmp_path_factory: pytest.TempPathFactory) -> History:
    """What a search leaves that nothing disturbs."""
    folder = tmp_path_factory.mktemp("alone")
    alone = make(Place(f"sqlite:///{folder / 'lcma.db'}", folder, few_root), SEARCH)
    search(of(alone), known_best)
    return history(alone)


@pytest.fixture(scope="module")
def trained(few_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """A search that one task at a time has trained; only to be read, or run again."""
    folder = tmp_path_factory.mktemp("trained")
    tuned = make(Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", few_root), SEARCH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCMA_SPOOL", str(folder / "spools"))
        tuned.run()
    return tuned


@pytest.mark.slow_on("postgresql")
def test_the_known_best_pattern_is_found_and_judged_by_other_seeds(on_each: Make) -> None:
    change = with_splits(2, rungs=[10, 40, 200], reduction=4)
    change["matrix"] = {"recipe": [{"optimization": {"batch": 4}}]}
    tuned = on_each(change)
    study = of(tuned)
    search(study, known_best)
    assert study.find_rung() is None
    found = read_patterns(tuned.store, tuned.target, tuned.digest)
    assert found.best is not None
    assert found.best.pattern == "checkerboard-even"
    assert [(rung.steps, rung.patterns) for rung in found.rungs] == [(10, 36), (40, 9), (200, 2)]
    by_hand = set(patterns(2))
    for steps in (10, 40):
        ordered = sorted(by_hand, key=lambda name: (known_best(name, steps), name))
        by_hand = set(ordered[: len(ordered) // 4])
    assert {row.pattern for row in found.rows if row.state == "COMPLETE"} == by_hand
    first = [known_best(name, 10) for name in patterns(2)]
    assert (found.rungs[0].best, found.rungs[0].worst) == (min(first), max(first))
    # Optuna sees the pairs as parameters.
    trial = next(t for t in tuned.study.trials if t.user_attrs["pattern"] == "keep-ab-cd")
    assert trial.params == {"split 1": "ab", "split 2": "cd"}

    judged = specs.check(yaml.safe_load(finals_spec(tuned.target, found)), "finals.yaml")
    names = judged.matrix.factorization
    assert names[:2] == ("conventional", found.rows[0].pattern)
    worst = max(patterns(2), key=lambda name: known_best(name, 10))
    assert names[-1] == worst
    trials = expand(judged).trials
    assert {trial.seed for trial in trials} == set(range(6))
    assert {trial.recipe.training.steps for trial in trials} == {STEPS}, "the recipe's own length"
    assert {trial.recipe.optimization.batch for trial in trials} == {4}, "the variation's"


def test_a_search_that_ended_before_any_value_is_shown(tuning: Make) -> None:
    tuned = tuning({"tune": SEARCH["tune"] | {"patterns": {"rungs": [2, 4], "count": 2}}})
    of(tuned)
    text = rendered(render_patterns(read_patterns(tuned.store, tuned.target, tuned.digest)))
    assert "conventional" in text
    assert text.count("running") == 2


@pytest.mark.integration
def test_tuners_that_start_together_put_a_failed_pattern_back_once(tuning: Make) -> None:
    tuned = tuning({"tune": SEARCH["tune"] | {"patterns": {"rungs": [2, 4], "count": 2}}})
    one, other = of(tuned), of(tuned)
    name = tuned.target.patterns[0]
    one.fail(name, "its process died")
    failed = [study.failed() for study in (one, other)]
    assert failed == [[name], [name]]
    for study, names in zip((one, other), failed, strict=True):
        study.put_back(names)
    search(one, known_best)
    states = [t.state.name for t in tuned.study.trials if t.user_attrs["pattern"] == name]
    assert states[0] == "FAIL"
    assert "RUNNING" not in states
    assert len(states) == 2


@pytest.mark.integration
def test_seeds_that_the_search_has_not_used_judge_the_patterns_with_values(tuning: Make) -> None:
    tuned = tuning({"tune": SEARCH["tune"] | {"seeds": [0, 2]}})
    study = of(tuned)
    study.fail("checkerboard-odd", "its process died")
    search(study, known_best)
    study.put_back(study.failed())
    found = read_patterns(tuned.store, tuned.target, tuned.digest)
    judged = specs.check(yaml.safe_load(finals_spec(tuned.target, found)), "finals.yaml")
    assert {trial.seed for trial in expand(judged).trials} == {1, 3, 4, 5, 6, 7}
    assert "checkerboard-odd" not in judged.matrix.factorization


@pytest.mark.integration
def test_a_search_by_a_measure_without_a_holdout_part_says_what_it_is_of(tuning: Make) -> None:
    tuned = tuning({"tune": SEARCH["tune"] | {"measure": "train_bits_per_dim"}})
    search(of(tuned), known_best, 1)
    text = rendered(render_patterns(read_patterns(tuned.store, tuned.target, tuned.digest)))
    assert "train_bits_per_dim (on as many images of the train part" in text
    assert "holdout" not in text


@pytest.mark.integration
def test_whoever_reports_and_in_parts_it_is_one_search(tuning: Make, left_alone: History) -> None:
    shared = tuning(SEARCH)
    one, other = of(shared), of(shared)
    # Eight values: the fourth part goes on into the next rung, and the last is left to `other`.
    for study, most in ((one, 2), (other, 1), (of(shared), 1), (one, 3)):
        search(study, known_best, most)
    search(other, known_best)
    assert history(shared) == left_alone
    for pattern in patterns(1):  # reported once more, by one that was silent for long
        one.report(pattern, 2, 0.0)
    assert history(shared) == left_alone


@pytest.mark.integration
def test_patterns_without_the_measure_fail_with_what_takes_it(
    trained: Tuning, tmp_path: Path
) -> None:
    load_measure("one", tmp_path)
    change = SEARCH["tune"] | {"measure": "one"}
    later = trained.changed({"name": "later", "tune": change})
    for _ in range(2):
        later.run()
        found = read_patterns(later.store, later.target, later.digest)
        assert len(later.study.trials) == 6
        assert all("lcma measure one" in row.reason for row in (*found.rows, *found.baselines))


@pytest.mark.integration
def test_what_is_trained_already_passes_where_the_hours_are_spent(
    trained: Tuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db.Store, "device_hours", lambda *_, **__: 1.0)
    change = {"name": "passes", "tune": SEARCH["tune"] | {"cost_hours": 0.5}}
    again = trained.changed(change)
    assert again.run().spent == ""
    assert history(again) == history(trained)


@pytest.mark.integration
@pytest.mark.slow_on("after-ask", "before-report", "before-tell", "before-ask", "after-report")
@pytest.mark.parametrize("name", ["ask", "report", "tell"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_a_moment_it_goes_on(
    tuning: Make, left_alone: History, name: str, when: Any
) -> None:
    killed = tuning(SEARCH)
    assert in_child(lambda: search(of(killed), known_best), Death(name, when, 3)) == signal.SIGKILL
    search(of(killed), known_best)
    assert history(killed) == left_alone


@pytest.mark.integration
def test_a_search_trains_each_pattern_at_each_rung_as_a_sweep_would(trained: Tuning) -> None:
    tuned = trained
    found = read_patterns(tuned.store, tuned.target, tuned.digest)
    assert [(rung.steps, rung.patterns) for rung in found.rungs] == [(2, 6), (4, 2)]
    assert tuned.steps("trial") == 6 * 2 + 2 * 4 + 4 * (found.rows[0].pattern not in CONVENTIONAL)
    assert found.seeds == (1000,)
    results = tuned.store.view("results")
    assert set(results.seed) == {1000}
    short = results[results.steps == 2].set_index("factorization").holdout_bits_per_dim
    assert {row.pattern: row.values[2] for row in found.rows} == dict(short)
    assert {row.pattern for row in found.rows if 4 in row.values} == choose_best(dict(short), 3)
    (base,) = found.baselines
    assert (base.name, base.state) == ("conventional", "COMPLETE")
    assert outcome_as_dict(found)["best"]["pattern"] == found.rows[0].pattern

    before = tuned.steps("trial")
    tuned.run()
    assert tuned.steps("trial") == before


CONVENTIONAL = ("checkerboard-even",)


@pytest.mark.integration
def test_several_tasks_at_once_are_the_same_search(tuning: Make, trained: Tuning) -> None:
    four = tuning({"tune": SEARCH["tune"] | {"parallel": 4}})
    four.run(parallel=4)
    assert history(four) == history(trained)
    assert four.bits() == trained.bits()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.slow
def test_on_ray_tune_it_is_the_same_search(tuning: Make) -> None:
    change = {"tune": SEARCH["tune"] | {"parallel": 2}}
    local, ray = tuning(change).elsewhere(), tuning(change)
    local.run()
    from lcma.harness.tuning.raytune import run_ray_tune  # Ray Tune, which one process needs

    executor = RayExecutor(Resources(), None)
    try:
        executor.check(1)
        with ray.opened() as tuner:
            run_ray_tune(tuner, executor.need, 2)
    finally:
        executor.close(kill=True)
    assert history(ray) == history(local)
    assert ray.bits() == local.bits()


@pytest.mark.integration
def test_patterns_that_diverge_are_left_behind(tuning: Make) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    tuned = tuning(merged(SEARCH, {"tune": {"patterns": {"count": 2}}}) | change)
    assert tuned.run().baseline_lost.startswith("diverged: ")
    found = read_patterns(tuned.store, tuned.target, tuned.digest)
    assert {row.state for row in found.rows} == {"FAIL"}
    assert {row.reason.partition(":")[0] for row in found.rows} == {"diverged"}
    assert found.best is None
    tuned.store.retry([one.job_id for one in list_lost(tuned.store)])
    tuned.run()
    assert len(tuned.study.trials) == 4


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.text("abcd", min_size=1), st.integers(0, 3).map(float), min_size=1),
    st.integers(2, 5),
)
def test_the_best_are_the_lowest(values: dict[str, float], reduction: int) -> None:
    kept = choose_best(values, reduction)
    assert len(kept) == max(1, len(values) // reduction)
    left = values.keys() - kept
    assert all((values[k], k) < (values[n], n) for k in kept for n in left)


def test_a_count_is_drawn_once_and_for_all(tuning: Make) -> None:
    few = tuning(with_splits(2, rungs=[10], count=5)).target.patterns
    more = tuning(with_splits(2, rungs=[10], count=9)).target.patterns
    assert len(few) == 5
    assert set(few) < set(more) < set(patterns(2))
    assert len({PAIRS.index(pattern_pair(name, 0) or "") for name in more}) > 1
    with pytest.raises(UserError, match="37 of the 36 patterns that fit"):
        tuning(with_splits(2, rungs=[10], count=37))
