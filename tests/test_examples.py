"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = (
    "lcma.models.build",
    "lcma.models.factorization",
    "lcma.models.flow",
    "lcma.models.layers",
    "lcma.models.priors",
    "lcma.models.split",
    "lcma.sweeps.catalog",
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


def test_every_module_of_models_and_sweeps_with_an_example_is_listed() -> None:
    root = Path(importlib.import_module("lcma").__file__ or "").parent
    paths = [path for room in ("models", "sweeps") for path in (root / room).glob("*.py")]
    found = {f"lcma.{p.parent.name}.{p.stem}" for p in paths if ">>> " in p.read_text()}
    assert found == set(MODULES)
