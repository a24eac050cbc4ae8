"""Points of the code at which a process may die, found in the code.

They are the kill points, by the word `kill_point` in the code, each step of a training between two
checkpoints, and each commit of a launch or a worker. A commit is named by the public method of the
store that makes it, or by the function in `FUNCTIONS` that calls the store.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from lcma import db, harness

HARNESS = Path(harness.__file__).parent

STEP = "step"
"""A step of a training between two checkpoints."""

FUNCTIONS = {"create": ("lcma.db.migrate", "upgrade")}
"""Commits named by the function that makes them; this one creates the tables."""

NOT_PASSED = {
    *("add_evaluation", "forget_artifacts", "request_stop", "rerun", "retry"),  # other commands
    "end_launch",  # at a limit of hours
    "give_up",  # where no node has the memory
    "require_writable",  # where leases are not renewed; it changes nothing
}
"""Methods of the store that commit nothing in a sweep that is only killed."""


def find_commits() -> list[str]:
    """Return the commits of a launch and its workers."""
    methods = inspect.getmembers(db.Store, inspect.isfunction)
    writes = re.compile(r"_writ(er\.begin|ing)\(")
    names = {name for name, body in methods if writes.search(inspect.getsource(body))}
    assert names >= NOT_PASSED, "a method is gone"
    return sorted(names - NOT_PASSED - {"_writing"} | FUNCTIONS.keys())


def find_kill_points(room: str) -> list[str]:
    """Return the names of the kill points in the modules of a room of `harness`."""
    modules = [ast.parse(path.read_text()) for path in (HARNESS / room).glob("*.py")]
    return sorted({name for module in modules for name in _names(module)})


def find_renames(path: Path) -> list[int]:
    """Return the lines of a module with a rename outside any kill point."""

    def visit(node: ast.AST, inside: bool) -> Iterator[int]:
        if isinstance(node, ast.With):
            inside |= any("kill_point(" in ast.unparse(item) for item in node.items)
        elif isinstance(node, ast.Attribute) and node.attr == "rename" and not inside:
            yield node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return list(visit(ast.parse(path.read_text()), False))


def _names(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "kill_point":
            if isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)
        elif isinstance(node, ast.keyword) and node.arg == "moment":  # when a file gets its name
            yield str(ast.literal_eval(node.value))


TUNER = find_kill_points("tuning")
ROOMS = ("launch", "work", "measure", "train", "storage")
SWEEP = [name for room in ROOMS for name in find_kill_points(room)]
POINTS = [*find_commits(), *SWEEP, STEP]
"""What a sweep passes, if its workers die now and then; a tuner passes `TUNER`, too."""
