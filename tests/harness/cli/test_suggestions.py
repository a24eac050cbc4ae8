"""A name that does not exist ends a command in one line, with the nearest that does."""

from pathlib import Path

import pytest

from tests.harness.cli.conftest import Lcma, refused


@pytest.mark.parametrize(
    ("command", "near"),
    [
        ("board --by bits_per_dims", "bits_per_dim"),
        ("board --sweep demos", "demo"),
        ("board --dataset photo16", "photos16"),
        ("board --factorization chanel", "channel"),
        ("curves demos", "demo"),
        ("maps --flow realnpv", "realnvp"),
        ("sql --schema trial_result", "results"),
        ("export results --where flows=realnvp", "flow"),
        ("plan dmeo", "demo"),
        ("board --db refrence", "reference"),
        ("plan demo --dataset photo16", "photos16"),
        ("plan demo --profile tinny", "tiny"),
        ("plan demo --set training.stepz=5", "steps"),
        ("data show photo16", "photos16"),
    ],
)
@pytest.mark.usefixtures("filled_folder")
def test_the_nearest_name_is_suggested(lcma: Lcma, command: str, near: str) -> None:
    refused(lcma(*command.split()), f"did you mean '{near}'?")


@pytest.mark.usefixtures("filled_folder")
def test_a_sweep_is_chosen_by_its_option_and_not_as_a_column(lcma: Lcma) -> None:
    refused(lcma("export", "results", "--where", "sweep=demo"), "a sweep is chosen by --sweep NAME")
    for table in ("results", "board"):
        assert len(lcma("export", table)[1].splitlines()) == 1 + 3
        assert len(lcma("export", table, "--sweep", "demo")[1].splitlines()) == 1 + 2


@pytest.mark.parametrize("command", [["plan"], ["launch", "--local"]])
def test_the_sweep_file_of_a_name_is_suggested(
    lcma: Lcma, in_tmp: Path, command: list[str]
) -> None:
    for name in ("mysweep.yaml", "other.yml", "demo.yaml"):
        (in_tmp / name).write_text("name: x\n")
    for name, message in (
        ("mysweep", "did you mean 'mysweep.yaml'?"),
        ("./other", "did you mean 'other.yml'?"),
        ("nofile.yaml", "there is no file nofile.yaml: the shipped sweeps are beyond, datasets"),
        ("mysweeps.yaml", "there is no file mysweeps.yaml: did you mean 'mysweep.yaml'?"),
        ("wrods.yml", "there is no file wrods.yml: did you mean 'words'?"),
    ):
        refused(lcma(*command, name), message)
    assert lcma("plan", "demo")[0] == 0, "the shipped sweep"
