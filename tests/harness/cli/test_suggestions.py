"""A name that does not exist ends a command in one line, with the nearest that does."""

from pathlib import Path

import pytest

from tests.db.conftest import SqliteTemplates
from tests.harness.cli.conftest import Typed

NAMES = [
    (["board", "--by", "bits_per_dims"], "bits_per_dim"),
    (["board", "--sweep", "demos"], "demo"),
    (["board", "--flow", "realnpv"], "realnvp"),
    (["board", "--dataset", "photo16"], "photos16"),
    (["board", "--factorization", "chanel"], "channel"),
    (["curves", "demos"], "demo"),
    (["maps", "--flow", "realnpv"], "realnvp"),
    (["stop", "demos"], "demo"),
    (["retry", "--class", "oomm"], "oom"),
    (["status", "--sweep", "demos"], "demo"),
    (["schema", "trial_result"], "trial_results"),
    (["export", "results", "--where", "flows=realnvp"], "flow"),
    (["export", "results", "--by", "flows"], "flow"),
    (["export", "results", "--by", "flow", "--stat", "means"], "mean"),
    (["rerun", "--where", "factorizations=low"], "factorization"),
    (["plan", "dmeo"], "demo"),
    (["board", "--db", "refrence"], "reference"),
    (["sql", "select 1", "--db", "References"], "reference"),
    (["plan", "demo", "--dataset", "photo16"], "photos16"),
    (["plan", "demo", "--profile", "tinny"], "tiny"),
    (["plan", "demo", "--set", "training.stepz=5"], "steps"),
    (["data", "show", "photo16"], "photos16"),
]


@pytest.mark.parametrize(("typed", "near"), NAMES, ids=[" ".join(typed) for typed, _ in NAMES])
def test_the_nearest_name_is_offered(
    lcma: Typed, sqlite_templates: SqliteTemplates, in_tmp: Path, typed: list[str], near: str
) -> None:
    sqlite_templates.copy("filled", in_tmp).rename("lcma.db")
    code, out, err = lcma(*typed)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert f"did you mean '{near}'?" in err


def test_a_rule_without_results_to_compare_with_is_refused_with_those_that_have_some(
    lcma: Typed, sqlite_templates: SqliteTemplates, in_tmp: Path
) -> None:
    """Whether it is a plug-in's is not known here."""
    sqlite_templates.copy("filled", in_tmp).rename("lcma.db")
    for against, hint in (("columns", "there are"), ("chekerboard-evn", "did you mean 'checkerb")):
        code, out, err = lcma("board", "--against", against)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert hint in err
    assert (
        "no results with --against columns: there are HHH, LLL,"
        in lcma("board", "--against", "columns")[2]
    )


@pytest.mark.parametrize("command", [["plan"], ["launch", "--local"]])
def test_the_sweep_file_of_a_name_is_offered(lcma: Typed, in_tmp: Path, command: list[str]) -> None:
    """Unless a shipped sweep has that name."""
    for name in ("mysweep.yaml", "other.yml", "demo.yaml"):
        (in_tmp / name).write_text("name: x\n")
    for name, near in (("mysweep", "mysweep.yaml"), ("./other", "other.yml")):
        code, out, err = lcma(*command, name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"did you mean '{near}'?" in err
    assert lcma("plan", "demo")[0] == 0
