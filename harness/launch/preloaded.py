"""Imports of the fork server from which local workers are forked, made once for all of them."""

import gc
import importlib

gc.disable()  # nearly all objects that imports make stay
for name in ("lcma.harness.launch.executor", "lcma.harness.work.worker"):
    importlib.import_module(name)
gc.freeze()  # a collection in a worker would write to these objects, and so copy their pages
gc.enable()
