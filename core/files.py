"""What makes a file safe from a power cut, beyond flushing the file itself."""

import os
from pathlib import Path


def flush_folder(folder: Path) -> None:
    """Make a rename in `folder` durable: POSIX flushes a folder's entries by themselves. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
