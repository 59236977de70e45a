"""Python's garbage collector, kept from what a run never throws away: libraries, programs, data, devices.

May import the standard library.

    with set_aside():
        ...
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside() -> Iterator[None]:
    """Whatever there is now is not looked at again and again while the context is open."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
