"""A study that makes room: it stands still while a file is there, as for the time of a measurement.

pause = Pause(Path("measuring"))
pause.wait()        # between two devices of a round, between two epochs of a reference
pause.seconds       # how long it has waited in all
"""

import time
from dataclasses import dataclass
from pathlib import Path

LOOK_SECONDS = 0.5


@dataclass
class Pause:
    """`path`: None: never."""

    path: Path | None = None
    seconds: float = 0.0

    def wait(self) -> None:
        """Return when the file is not there."""
        if self.path is None or not self.path.exists():
            return
        began = time.monotonic()
        while self.path.exists():
            time.sleep(LOOK_SECONDS)
        self.seconds += time.monotonic() - began
