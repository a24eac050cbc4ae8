"""Fixtures of the commands, of databases and of prepared sets."""

from tests.db.conftest import filled_path as filled_path
from tests.db.conftest import path as path
from tests.db.conftest import read_only as read_only
from tests.db.conftest import sqlite_templates as sqlite_templates
from tests.harness.cli.conftest import filled_folder as filled_folder
from tests.harness.cli.conftest import lcma as lcma
from tests.harness.data.conftest import batches as batches
from tests.harness.data.conftest import npz as npz
from tests.harness.data.conftest import photos8 as photos8
from tests.harness.data.conftest import prepared as prepared
from tests.harness.data.conftest import sources as sources
from tests.harness.show.conftest import empty_database as empty_database
from tests.harness.show.conftest import filler as filler
