"""A federated device inside a program of one's own: progress, a stop button, and data from anywhere.

    fedrela serve --dev                                     # in one terminal
    fedrela publish BUNDLE TASK.toml                        # in another: a task to take part in
    fedrela token create                                    # prints a link
    python -m examples.embedding LINK                       # here, with that link in quotes

The program keeps its own state folder and its own thread; the device trains in another and tells what it does. Needs
the edge extra, and scikit-learn for its data: handwritten digits, of which this device holds few kinds.
"""

import sys
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np

from fedrela.core.bundle import Manifest
from fedrela.core.protocol import links
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage.store import FolderStore
from fedrela.edge.training.examples import Examples


def my_examples(manifest: Manifest) -> Examples:
    """Called for every assignment, so data may grow. Arrays as the programs take them: here (n, 1, 8, 8) uint8."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    mine = np.flatnonzero(digits.target < 4)[:120]
    pixels = np.floor(digits.images[mine] * 15.9375).astype(np.uint8)[:, None]
    return Examples({manifest.x[0].name: pixels}, digits.target[mine].astype(np.int64))


def show(event: Event) -> None:
    """Progress for this program's own window; nothing of it is sent anywhere."""
    if event.kind == "step":
        print(f"\rround {event.round}: step {event.step} of {event.steps}, loss {event.loss:.3f}", end="", flush=True)
    else:
        print(f"\rround {event.round}: {event.kind} {event.detail}".ljust(60))


def join(link: str, folder: Path) -> DeviceClient:
    """The device of this program, enrolled at its first start."""
    api, store = CoordinatorApi(httpx.Client(timeout=30)), FolderStore(folder)
    if store.get("identity.json") is None:
        enroll(api, store, links.parse(link))
    stop = threading.Event()
    return DeviceClient(
        api,
        store,
        my_examples,
        settings=DeviceSettings(max_seconds=60.0, checkpoint_steps=50),
        stop=stop,
        sleep=stop.wait,  # so that a pause ends at once when the program wants to end
        on_event=show,
    )


def main(arguments: list[str]) -> None:
    """Take part until Enter is pressed."""
    if len(arguments) != 1:
        sys.exit("usage: python -m examples.embedding LINK      (make one with `fedrela token create`)")
    client = join(arguments[0], Path("embedded-device"))
    worker = threading.Thread(target=client.run)
    worker.start()
    with suppress(KeyboardInterrupt, EOFError):
        input("training in the background; press Enter to stop\n")
    client.stop.set()  # at the next batch boundary; the assignment is kept and goes on at the next start
    worker.join()


if __name__ == "__main__":
    main(sys.argv[1:])
