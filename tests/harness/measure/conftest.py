"""The fixture of commands."""

from tests.harness.cli.conftest import lcma as lcma
