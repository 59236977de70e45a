"""A study's devices in this process: counted as soon as they speak, and still while the study pauses.

The fleet hears of a finished device when its virtual time has come, which may be after the round that it ended; a
snapshot of that round must have counted it.

    with AttentiveDevices(context, Pause(), Progress(task_id)) as workers:
        Fleet(..., workers, ...).run()
    workers.progress(number)
"""

import dataclasses
import time

from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.fleet.messages import Done, FromWorker
from fedrela.emulator.workers.workers import Inline
from fedrela.study.runs.pause import Pause
from fedrela.study.runs.snapshots import Progress


class AttentiveDevices(Inline):
    """The devices of `context`; `before` is what was done before them."""

    def __init__(self, context: SharedContext, pause: Pause, before: Progress) -> None:
        super().__init__(lambda run_native: context)
        self._pause, self._before = pause, before
        self._began, self._paused = time.monotonic(), pause.seconds
        self._up = self._down = self._updates = 0

    def receive(self) -> list[FromWorker]:
        """See `Workers.receive`."""
        self._pause.wait()
        messages = super().receive()
        for message in messages:
            if isinstance(message, Done):
                self._up += sum(event.bytes_up for event in message.events)
                self._down += sum(event.bytes_down for event in message.events)
                self._updates += message.kind == "uploaded"
        return messages

    def progress(self, number: int) -> Progress:
        """What is done with round `number`."""
        elapsed = time.monotonic() - self._began - (self._pause.seconds - self._paused)
        before = self._before
        return dataclasses.replace(
            before,
            round=number,
            bytes_up=before.bytes_up + self._up,
            bytes_down=before.bytes_down + self._down,
            updates=before.updates + self._updates,
            seconds=before.seconds + elapsed,
        )
