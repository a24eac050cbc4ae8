"""What the server of which local workers are copies imports, once for all of them."""

import gc
import importlib

gc.disable()  # nearly all that imports make stays
for name in ("lcma.harness.launch.executor", "lcma.harness.work.worker"):
    importlib.import_module(name)
gc.freeze()  # a worker that looked at it for garbage would have to copy its pages
gc.enable()
