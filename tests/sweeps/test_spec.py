"""The names and numbers in a sweep file."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcma.sweeps import spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand
from tests.refusals import catch_refusal

MATRIX: dict[str, Any] = {
    "flow": "realnvp",
    "dataset": "photos16",
    "factorization": ["low", "channel"],
    "budget": 100,
}


def check(**changes: Any) -> spec.Spec:
    matrix = MATRIX | {key: changes.pop(key) for key in list(changes) if key in MATRIX}
    return spec.check({"name": "x", "matrix": matrix} | changes, "mine.yaml")


def test_one_value_stands_for_a_list_of_one() -> None:
    assert check() == check(flow=["realnvp"], dataset=["photos16"], budget=[100], seeds=[0])
    assert check(seeds=3).seeds == (0, 1, 2)
    assert check(seeds=[3]).seeds == (3,)


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
    ({"failures": {"ooom": 1}}, "unknown key `failures.ooom`: did you mean 'oom'?"),
    ({"exclude": [{"seed": 1}, {}]}, "`exclude.1`: without a key it leaves out every cell: give f"),
    ({"exclude": [{"flow": "glo"}]}, "`exclude.flow`: unknown flow 'glo'"),
    ({"exclude": [{"dataset": "mnist"}]}, "`exclude.dataset`: unknown data set 'mnist'"),
    ({"exclude": [{"factorization": "LXH"}]}, "`exclude.factorization`: unknown factorization"),
    ({"exclude": [{"budget": 110}]}, "`exclude.budget`: budget 110 is not on the grid of steps: u"),
    ({"exclude": [{"seed": -1}]}, "`exclude.0.seed.0`: input should be greater than or equal to 0"),
    (
        {"matrix": MATRIX | {"recipe": [{}] * 1001}},
        "`matrix.recipe`: tuple should have at most 1000 items",
    ),
    ({"exclude": [{"seeds": 1}]}, "unknown key `exclude.0.seeds`: did you mean 'seed'?"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_mistake_is_named_with_its_place(changes: dict[str, Any], message: str) -> None:
    catch_refusal(lambda: check(**changes), f"mine.yaml: {message}")


def test_a_file_of_the_name_of_a_shipped_sweep_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").touch()
    assert spec.load("demo").name == "demo"


def test_a_spec_survives_its_own_body() -> None:
    options: dict[str, Any] = {"seeds": [4, 2], "exclude": [{"budget": 100}]}
    options |= {"failures": {"oom": 0, "timeout": "always"}}
    options |= {"resources": {"gpus": 0.5, "hours": 1.5, "parallel": 3}}
    plain = check(**options)
    assert spec.check(json.loads(plain.body), "again") == spec.with_overrides(plain) == plain
    assert plain.failures == spec.Failures(oom=0, timeout="always")


def test_policies_and_limits_at_their_defaults_are_no_part_of_a_body() -> None:
    plain = check()
    assert "failures" not in json.loads(plain.body)
    assert json.loads(plain.body)["resources"] == {"cpus": None, "gpus": None, "memory_gb": None}
    assert check(failures={"oom": 1}).body == plain.body
    assert check(resources={"max_device_hours": 3}).body == plain.body


def test_overrides_of_the_command_line() -> None:
    plain = check(seeds=4)
    changed = spec.with_overrides(plain, dataset="photos32,cifar10", profile="small", seeds=(7,))
    assert changed.matrix.dataset == ("photos32", "cifar10")
    assert (changed.profile, changed.seeds) == ("small", (7,))
    assert changed.matrix.factorization == plain.matrix.factorization
    changed = spec.with_overrides(plain, factorization="low,keep-ad-bc")
    assert changed.matrix.factorization == ("low", "keep-ad-bc")
    for name, value, part in (
        ("dataset", "photo", "unknown data set 'photo'"),
        ("factorization", "low,lowe", "'lowe'"),
    ):
        place = f"command line: `matrix.{name}`: "
        catch_refusal(partial(spec.with_overrides, plain, **{name: value}), place, part)


def test_overrides_of_a_notebook_may_be_whole_numbers_of_numpy() -> None:
    given: dict[str, Any] = {"seeds": np.int64(6), "budget": np.array([100, 150])}
    changed = spec.with_overrides(check(), **given)
    assert (changed.seeds, changed.matrix.budget) == ((0, 1, 2, 3, 4, 5), (100, 150))
    assert json.loads(changed.body)["seeds"] == [0, 1, 2, 3, 4, 5]
    wrong: list[tuple[str, Any]] = [("seeds", 3.0), ("budget", 0.5), ("flow", 3)]
    for name, value in wrong:
        catch_refusal(partial(spec.with_overrides, check(), **{name: value}), f"--{name}")


def test_a_spec_without_gpus_takes_those_of_its_profile() -> None:
    assert check().gpus == 0
    assert check(profile="small").gpus == 1
    assert check(resources={"gpus": 0.5}).gpus == 0.5


def test_keep_enters_only_the_id_of_the_sweep() -> None:
    """It does so only if it is set: sweeps from before this key keep their ids."""
    plain, explicit = check(), check(keep={"checkpoints": "none", "weights": True})
    changed = check(keep={"checkpoints": "last", "weights": False, "snapshots": "all"})
    assert plain == explicit
    assert "keep" not in json.loads(plain.body)
    assert json.loads(changed.body)["keep"]["snapshots"] == "all"
    assert [t.id for t in expand(plain).trials] == [t.id for t in expand(changed).trials]
    assert spec.with_overrides(changed, seeds=(1,)).keep == changed.keep
    for wrong in ({"checkpoints": "best"}, {"snapshots": True}, {"weight": True}):
        with pytest.raises(UserError, match=r"mine\.yaml: .*`keep"):
            check(keep=wrong)
