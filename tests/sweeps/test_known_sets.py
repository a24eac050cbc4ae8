"""The names of data sets, their box-filtered forms and the way back from a trial."""

import pytest

from lcma.sweeps import known_sets, spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand
from lcma.sweeps.known_sets import DataSetFacts


def test_the_name_of_a_set_follows_from_data_set_and_variant() -> None:
    for name, facts in known_sets.shipped().items():
        assert known_sets.set_name(facts.dataset, facts.variant) == name


def test_filtered_forms_follow_by_rule() -> None:
    names = set(known_sets.shipped())
    assert {
        "cifar10-16", "cifar10-8", "imagenet64-32", "imagenet64-16", "imagenet64-32-png",
        "imagenet32-8-png", "celeba64-32", "celeba64-16-float",
    } <= names  # fmt: skip
    assert not {"photos32-16", "digits-4", "cifar10-4", "cifar10-16-8"} & names
    half = known_sets.shipped()["imagenet64-32-png"]
    assert (half.size, half.dataset, half.variant) == (32, "imagenet64-32", "png")
    assert half.filtered_from == "imagenet64-png"


def test_a_trial_knows_its_variant_and_its_sets_name() -> None:
    names = ["celeba64", "celeba64-float", "imagenet32", "imagenet32-png"]
    matrix = {"flow": "realnvp", "dataset": names, "factorization": ["conventional", "low"]}
    content = {"name": "s", "matrix": {**matrix, "budget": 10}, "profile": "paper"}
    trials = expand(spec.check(content, "test")).trials
    assert [t.set_name for t in trials[::2]] == names
    assert [t.variant for t in trials[::2]] == ["u8", "float", "npz", "png"]
    assert len({t.id for t in trials}) == 8
    pretrainings = [t.pretraining for t in trials if t.pretraining]
    assert len({p.id for p in pretrainings}) == 4
    assert [p.set_name for p in pretrainings] == names


def test_a_user_s_set_can_be_named_once_it_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_sets, "_own_sets", {})
    matrix = {"flow": "realnvp", "dataset": "cats", "factorization": "conventional"}
    content = {"name": "s", "matrix": matrix}
    with pytest.raises(UserError, match=r"unknown data set 'cats'.*lcma data prepare NAME"):
        spec.check(content, "test")
    known_sets.register("cats", DataSetFacts(size=16, channels=1, dataset="cats", about="mine"))
    (trial,) = expand(spec.check(content, "test")).trials
    assert (trial.recipe.model.size, trial.recipe.model.channels) == (16, 1)
    assert (trial.set_name, trial.variant) == ("cats", "u8")


@pytest.mark.parametrize("name", ["cifar10", "imagenet64-16-png", "Cats", "a/b", "", "-a"])
def test_a_user_s_set_cannot_have_a_wrong_name_or_one_of_ours(name: str) -> None:
    with pytest.raises(UserError):
        known_sets.register(name, DataSetFacts(size=16, dataset=name, about="mine"))
