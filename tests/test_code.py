"""Rules of the code: docstrings' examples are true, class names unique, the store's methods few."""

import ast
import doctest
import importlib
import re
from collections import defaultdict

import pytest

import lcma
from tests.processes import ROOT

FOLDERS = ("models", "sweeps", "harness", "harness/data", "harness/train", "harness/storage")
MODULES = [
    ".".join(("lcma", *path.relative_to(ROOT).with_suffix("").parts))
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.py"))
    # The API's examples launch sweeps; tests/test_python_api.py tests such calls.
    if ">>> " in path.read_text() and path.name != "api.py"
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    failed, examples = doctest.testmod(importlib.import_module(name))
    assert (failed, examples > 0) == (0, True)


def test_no_two_classes_have_one_name() -> None:
    modules = defaultdict[str, list[str]](list)
    for folder in ("db", "harness", "models", "sweeps"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    modules[node.name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert len(modules) > 100
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_a_store_has_at_most_45_methods_each_used_by_the_product() -> None:
    folders = (ROOT / "harness", ROOT / "benchmarks")
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    names = [name for name in vars(lcma.Store) if not name.startswith("_")]
    methods = [name for name in names if callable(getattr(lcma.Store, name))]
    assert len(methods) <= 45
    assert [name for name in methods if not re.search(rf"(?:store|Store)\.{name}\b", code)] == []
