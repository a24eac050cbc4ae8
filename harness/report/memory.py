"""The collector of cycles, kept from looking through what has none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """For the time of a block nothing is searched for cycles: where hundreds of thousands of plain
    records are made, the search takes longer than the work."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
