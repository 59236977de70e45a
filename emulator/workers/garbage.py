"""Python's garbage collector, kept from what a run never throws away: libraries, programs, data, devices.

May import the standard library.

    with set_aside():
        ...
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Turns make many objects and hardly any circles of them, so it looks seldom: 20 000 new ones later, not 700.
_SELDOM = (20_000, 20, 20)


@contextmanager
def set_aside() -> Iterator[None]:
    """Whatever there is now is not looked at again and again while the context is open; what comes is, but seldom."""
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
