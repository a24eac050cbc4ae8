"""The examples in docstrings print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(importlib.import_module("lcma").__file__ or "").parent
FOLDERS = ("models", "sweeps", "harness", "harness/data", "harness/train", "harness/storage")
MODULES = [
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.py"))
    # The API's examples launch sweeps; tests/test_python_api.py tests such calls.
    if ">>> " in path.read_text() and path.name != "api.py"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    failed, examples = doctest.testmod(importlib.import_module(name))
    assert (failed, examples > 0) == (0, True)


def test_examples_are_found() -> None:
    assert len(MODULES) > 15
