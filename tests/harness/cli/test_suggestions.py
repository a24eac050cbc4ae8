"""A name that does not exist ends a command in one line, with the nearest that does."""

from pathlib import Path

import pytest

from tests.harness.cli.conftest import Lcma, refused

NAMES = [
    (["board", "--by", "bits_per_dims"], "bits_per_dim"),
    (["board", "--sweep", "demos"], "demo"),
    (["board", "--dataset", "photo16"], "photos16"),
    (["board", "--factorization", "chanel"], "channel"),
    (["curves", "demos"], "demo"),
    (["maps", "--flow", "realnpv"], "realnvp"),
    (["rerun", "--failed", "--class", "oomm"], "oom"),
    (["sql", "--schema", "trial_result"], "results"),
    (["export", "results", "--where", "flows=realnvp"], "flow"),
    (["rerun", "--where", "factorizations=low"], "factorization"),
    (["plan", "dmeo"], "demo"),
    (["board", "--db", "refrence"], "reference"),
    (["plan", "demo", "--dataset", "photo16"], "photos16"),
    (["plan", "demo", "--profile", "tinny"], "tiny"),
    (["plan", "demo", "--set", "training.stepz=5"], "steps"),
    (["data", "show", "photo16"], "photos16"),
]


@pytest.mark.parametrize(("typed", "near"), NAMES, ids=[" ".join(typed) for typed, _ in NAMES])
@pytest.mark.usefixtures("filled_folder")
def test_the_nearest_name_is_offered(lcma: Lcma, typed: list[str], near: str) -> None:
    refused(lcma(*typed), f"did you mean '{near}'?")


@pytest.mark.usefixtures("filled_folder")
def test_a_rule_without_results_to_compare_with_is_refused(lcma: Lcma) -> None:
    for against, hint in (
        ("columns", "for a rule of a plug-in, name its file in LCMA_PLUGINS"),
        ("chekerboard-evn", "did you mean 'checkerb"),
        ("variance-low", "no results of variance-low here; there are "),
    ):
        refused(lcma("board", "--against", against), hint)


@pytest.mark.usefixtures("filled_folder")
def test_a_sweep_is_chosen_by_its_option_and_not_as_a_column(lcma: Lcma) -> None:
    refused(lcma("export", "results", "--where", "sweep=demo"), "a sweep is chosen by --sweep NAME")
    lines = {
        command: [len(lcma("export", command, *more)[1].splitlines()) for more in ((), SWEEP)]
        for command in ("results", "board", "verdicts")
    }
    assert lines["results"] == [1 + 3, 1 + 2]
    assert lines["board"][1] < lines["board"][0]
    assert lcma("export", *SWEEP[:1], "demos")[0] == 2


SWEEP = ("--sweep", "demo")


@pytest.mark.parametrize("command", [["plan"], ["launch", "--local"]])
def test_the_sweep_file_of_a_name_is_offered(lcma: Lcma, in_tmp: Path, command: list[str]) -> None:
    """Unless a shipped sweep has that name."""
    for name in ("mysweep.yaml", "other.yml", "demo.yaml"):
        (in_tmp / name).write_text("name: x\n")
    for name, near in (("mysweep", "mysweep.yaml"), ("./other", "other.yml")):
        refused(lcma(*command, name), f"did you mean '{near}'?")
    for name, hint in (
        ("nofile.yaml", ": the shipped sweeps are beyond, datasets"),
        ("mysweeps.yaml", ": did you mean 'mysweep.yaml'?"),
        ("wrods.yml", ": did you mean 'words'?"),
    ):
        refused(lcma(*command, name), f"there is no file {name}{hint}")
    assert lcma("plan", "demo")[0] == 0
