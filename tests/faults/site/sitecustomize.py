"""Part of each Python that tests start: workers call what LCMA_TEST_HOOK names before they work.

It is MODULE:FUNCTION:ARGUMENT, such as `SLOW_STEPS`. The product knows nothing of it.
"""

import importlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

VARIABLE, WORKER = "LCMA_TEST_HOOK", "lcma.harness.work.worker"
ROOT = str(Path(__file__).parents[3])


class HookedWorker:
    """Finds the module of workers, and lets it call the hook."""

    def find_spec(self, name, path=None, target=None):
        if name != WORKER or (spec := PathFinder.find_spec(name, path)) is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            run = module.run_works

            def run_works(works):
                if hook := os.environ.get(VARIABLE):
                    call(*hook.split(":", 2))
                return run(works)

            module.run_works = run_works

        spec.loader.exec_module = exec_module
        return spec


def call(module, function, argument):
    if ROOT not in sys.path:
        sys.path.append(ROOT)
    getattr(importlib.import_module(module), function)(argument)


sys.meta_path.insert(0, HookedWorker())
