"""Optuna's studies in the same database: neither of the two changes the other."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.db.schema import OPTUNA_TABLES, metadata
from lcma.db.views import views
from lcma.sweeps.errors import UserError
from tests.db.inspecting import contents, execute, is_current, make_older, objects


def storage(url: str) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sa.NullPool})


def tune(url: str) -> None:
    """Ask a study for three trials: one completes, one fails, one is never reported."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=storage(url),
        study_name="rates",
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    rate = optuna.distributions.FloatDistribution(1e-4, 1e-2, log=True)
    completed, failed, _ = (study.ask({"rate": rate}) for _ in range(3))
    completed.report(1.0, step=1)
    completed.set_user_attr("note", "slow")
    study.tell(completed, 0.5)
    study.tell(failed, state=optuna.trial.TrialState.FAIL)


def states(url: str) -> list[str]:
    study = optuna.load_study(storage=storage(url), study_name="rates")
    return [trial.state.name for trial in study.trials]


def studies(url: str) -> dict[str, Any]:
    """Return Optuna's tables and rows."""
    tables, rows = objects(url), contents(url)
    return {name: (tables[name], rows[name]) for name in OPTUNA_TABLES}


@pytest.mark.slow_on("postgresql")
def test_a_database_is_made_beside_a_study(new_place: str) -> None:
    tune(new_place)
    assert objects(new_place).keys() == OPTUNA_TABLES
    assert not OPTUNA_TABLES & {*metadata.tables, *views.tables}
    before = studies(new_place)
    assert not db.exists(new_place)
    with pytest.raises(UserError, match="no results at"):
        db.connect(new_place, create=False)
    db.connect(new_place)
    assert is_current(new_place)
    assert check_integrity(db.locate(new_place)).findings == ()
    assert studies(new_place) == before
    assert states(new_place) == ["COMPLETE", "FAIL", "RUNNING"]


@pytest.mark.integration
def test_an_upgrade_leaves_a_study_alone(filled_path: Path) -> None:
    """Also with a broken reference: Optuna does not have SQLite enforce them."""
    url = f"sqlite:///{filled_path}"
    tune(url)
    execute(url, "DELETE FROM trials WHERE trial_id = 1")
    make_older(url)
    before = studies(url)
    assert len(db.connect(url).view("results")) == 3
    assert studies(url) == before
    assert is_current(url)
    assert check_integrity(db.locate(url)).findings == ()


@pytest.mark.parametrize("alien", ["CREATE TABLE mine (x INTEGER)", "DROP TABLE version_info"])
def test_tables_like_optunas_do_not_open_another_programs_database(
    tmp_path: Path, alien: str
) -> None:
    url = f"sqlite:///{tmp_path / 'results.db'}"
    tune(url)
    execute(url, alien)
    before = objects(url)
    with pytest.raises(UserError, match="another program"):
        db.connect(url)
    assert objects(url) == before
