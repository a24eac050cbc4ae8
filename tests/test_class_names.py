"""No class name stands for two things."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = ("db", "harness", "models", "sweeps")


def test_no_two_classes_have_one_name() -> None:
    modules = defaultdict[str, list[str]](list)
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    modules[node.name.lstrip("_")].append(str(path.relative_to(ROOT)))
    assert len(modules) > 100
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}
