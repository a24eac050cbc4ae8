"""What the server of which local workers are copies imports, once for all of them."""

import gc

gc.disable()  # nearly all that imports make stays

import lcma.harness.run.executor  # noqa: E402
import lcma.harness.run.worker  # noqa: E402, F401

gc.freeze()  # a worker that looked at it for garbage would have to copy its pages
gc.enable()
