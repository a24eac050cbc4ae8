"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = (
    "lcma.harness.averages",
    "lcma.harness.seeds",
    "lcma.harness.text",
    "lcma.harness.train.recorder",
    "lcma.harness.urls",
    "lcma.models.builder",
    "lcma.models.check",
    "lcma.models.factorization",
    "lcma.models.flow",
    "lcma.models.layers",
    "lcma.models.priors",
    "lcma.models.split",
    "lcma.sweeps.catalog",
    "lcma.sweeps.errors",
    "lcma.sweeps.expansion",
    "lcma.sweeps.factorizations",
    "lcma.sweeps.plugins",
    "lcma.sweeps.settings",
    "lcma.sweeps.spec",
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    failed, examples = doctest.testmod(importlib.import_module(name))
    assert (failed, examples > 0) == (0, True)


def test_every_module_with_an_example_is_listed() -> None:
    root = Path(importlib.import_module("lcma").__file__ or "").parent
    rooms = ("models", "sweeps", "harness", "harness/data", "harness/train", "harness/storage")
    paths = [path for room in rooms for path in (root / room).glob("*.py")]
    paths.remove(root / "harness" / "api.py")  # it launches; tests/test_python_api.py runs the like
    with_one = [path.relative_to(root.parent) for path in paths if ">>> " in path.read_text()]
    assert {".".join(path.with_suffix("").parts) for path in with_one} == set(MODULES)
