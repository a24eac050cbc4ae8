"""The names and numbers in a sweep file."""

import json
from typing import Any

import pytest

from lcma.sweeps import spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand

MATRIX: dict[str, Any] = {
    "flow": "realnvp",
    "dataset": "photos16",
    "factorization": ["low", "channel"],
    "budget": 100,
}


def checked(**changes: Any) -> spec.Spec:
    matrix = MATRIX | {key: changes.pop(key) for key in list(changes) if key in MATRIX}
    return spec.check({"name": "x", "matrix": matrix} | changes, "mine.yaml")


def test_one_value_stands_for_a_list_of_one() -> None:
    assert checked().matrix.flow == ("realnvp",)
    assert checked() == checked(flow=["realnvp"], dataset=["photos16"], budget=[100], seeds=[0])
    assert checked(seeds=3).seeds == (0, 1, 2)
    assert checked(seeds=[3]).seeds == (3,)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"flow": "realnpv"}, "`matrix.flow`: unknown flow 'realnpv': did you mean 'realnvp'?"),
    ({"dataset": "cifar"}, "`matrix.dataset`: unknown data set 'cifar': did you mean 'cifar10'?"),
    ({"dataset": ["photos16", ""]}, "`matrix.dataset`: unknown data set '': known are"),
    ({"profile": "papr"}, "`profile`: unknown profile of realnvp 'papr': did you mean 'paper'?"),
    ({"factorization": "LXH"}, "`matrix.factorization`: unknown factorization 'LXH': a word has"),
    ({"factorization": "lo"}, "`matrix.factorization`: unknown factorization 'lo': did you mean"),
    ({"budget": 110}, "`matrix.budget`: budget 110 is not on the grid of steps: use 100 or 150"),
    ({"budget": [100, -1]}, "`matrix.budget`: budget -1 is not on the grid of steps: use 0"),
    ({"budget": 500.5}, "`matrix.budget.0`: input should be a valid integer, not 500.5"),
    ({"budget": True}, "`matrix.budget.0`: input should be a valid integer, not True"),
    ({"flow": []}, "`matrix.flow`: value should have at least 1 item"),
    ({"seeds": 10_001}, "`seeds`: a number of seeds lies between 1 and 10000"),
    ({"seeds": [-1]}, "`seeds.0`: input should be greater than or equal to 0"),
    ({"seeds": []}, "`seeds`: value should have at least 1 item"),
    ({"seeds": [2**31]}, "`seeds.0`: input should be less than 2147483648"),
    ({"name": "../up"}, "`name`: string should match pattern"),
    ({"resources": {"gpus": 2}}, "`resources.gpus`: input should be less than or equal to 1"),
    ({"resources": {"gpu": 1}}, "unknown key `resources.gpu`: did you mean 'gpus'?"),
    ({"resources": {"memory_gb": float("inf")}}, "`resources.memory_gb`: input should be a finit"),
    ({"resources": {"hours": 0}}, "`resources.hours`: input should be greater than 0, not 0"),
    ({"resources": {"parallel": 0}}, "`resources.parallel`: input should be greater than or equal"),
    ({"failures": {"oom": -1}}, "`failures.oom`: give a number of times from 0 to 1000, not -1"),
    ({"failures": {"oom": "always"}}, "`failures.oom`: give a number of times from 0 to 1000, no"),
    ({"failures": {"diverged": True}}, "`failures.diverged`: give a number of times from 0 to 10"),
    ({"failures": {"node_lost": 3}}, "`failures.node_lost`: it is `always`, not 3"),
    ({"failures": {"ooom": 1}}, "unknown key `failures.ooom`: did you mean 'oom'?"),
    (
        {"exclude": [{"seed": 1}, {}]},
        "`exclude.1`: without a key it leaves out every cell: give flow",
    ),
    ({"exclude": [{"flow": "glo"}]}, "`exclude.flow`: unknown flow 'glo'"),
    ({"exclude": [{"dataset": "mnist"}]}, "`exclude.dataset`: unknown data set 'mnist'"),
    ({"exclude": [{"factorization": "LXH"}]}, "`exclude.factorization`: unknown factorization"),
    ({"exclude": [{"budget": 110}]}, "`exclude.budget`: budget 110 is not on the grid of steps: u"),
    ({"exclude": [{"seed": -1}]}, "`exclude.0.seed.0`: input should be greater than or equal to 0"),
    ({"exclude": [{"seeds": 1}]}, "unknown key `exclude.0.seeds`: did you mean 'seed'?"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(**changes)
    assert str(caught.value).startswith(f"mine.yaml: {message}")
    assert "\n" not in str(caught.value)


def test_a_spec_survives_its_own_body() -> None:
    plain = checked(seeds=[4, 2], exclude=[{"budget": 100}], resources={"gpus": 0.5})
    assert spec.check(json.loads(plain.body), "again") == plain


def test_policies_and_limits_survive_too_and_are_no_part_of_a_body_that_has_none() -> None:
    plain = checked()
    assert "failures" not in json.loads(plain.body)
    assert json.loads(plain.body)["resources"] == {"cpus": None, "gpus": None, "memory_gb": None}
    assert checked(failures={"oom": 1}).body == plain.body
    assert checked(resources={"max_device_hours": 3}).body == plain.body
    limited = checked(
        failures={"oom": 0, "timeout": "always"}, resources={"hours": 1.5, "parallel": 3}
    )
    assert spec.check(json.loads(limited.body), "again") == limited
    assert spec.with_overrides(limited) == limited
    assert limited.failures == spec.Failures(oom=0, timeout="always")


def test_overrides_of_the_command_line() -> None:
    plain = checked(seeds=4)
    assert spec.with_overrides(plain) == plain
    changed = spec.with_overrides(plain, dataset="photos32,cifar10", profile="small", seeds=(7,))
    assert changed.matrix.dataset == ("photos32", "cifar10")
    assert (changed.profile, changed.seeds) == ("small", (7,))
    assert changed.matrix.factorization == plain.matrix.factorization
    with pytest.raises(
        UserError, match=r"command line: `matrix.dataset`: unknown data set 'photo'"
    ):
        spec.with_overrides(plain, dataset="photo")
    two = spec.with_overrides(plain, factorization="low,keep-ad-bc")
    assert two.matrix.factorization == ("low", "keep-ad-bc")
    with pytest.raises(UserError, match=r"command line: `matrix\.factorization`: .*'lowe'"):
        spec.with_overrides(plain, factorization="low,lowe")


@pytest.mark.parametrize(
    ("asked", "needed"), [({}, 0), ({"profile": "small"}, 1), ({"resources": {"gpus": 0.5}}, 0.5)]
)
def test_a_spec_without_gpus_takes_what_its_profile_needs(
    asked: dict[str, Any], needed: float
) -> None:
    assert checked(**asked).gpus == needed


def test_what_is_kept_enters_no_id_but_that_of_the_sweep() -> None:
    """And that only if it is set: sweeps from before this key keep their ids."""
    usual, explicit = checked(), checked(keep={"checkpoints": "none", "weights": True})
    other = checked(keep={"checkpoints": "last", "weights": False, "snapshots": "all"})
    assert usual == explicit
    assert "keep" not in json.loads(usual.body)
    assert json.loads(other.body)["keep"]["snapshots"] == "all"
    assert [t.id for t in expand(usual).trials] == [t.id for t in expand(other).trials]
    assert spec.with_overrides(other, seeds=(1,)).keep == other.keep
    for wrong in ({"checkpoints": "best"}, {"snapshots": True}, {"weight": True}):
        with pytest.raises(UserError, match=r"mine\.yaml: .*`keep"):
            checked(keep=wrong)
