"""The Python device as a command that the conformance server can judge: enroll unless enrolled, then work.

python -m fedrela.conformance.server --hurry 50 --client "python -m fedrela.conformance.server.python_client
    --link {link} --state {state} --data {data} --secret {secret} --hurry {hurry}"
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event as StopEvent

import httpx

from fedrela.core import tensors
from fedrela.core.errors import FedRelaError
from fedrela.core.protocol import links
from fedrela.edge.client import DeviceClient, Outcome, enroll
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.settings import Event
from fedrela.edge.storage import state
from fedrela.edge.storage.store import FolderStore
from fedrela.edge.training.examples import Examples


def main() -> int:
    """One run of the device: until the coordinator says that nothing is left to do."""
    parser = argparse.ArgumentParser(prog="python -m fedrela.conformance.server.python_client", description=__doc__)
    for name in ("link", "state", "data", "secret"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--hurry", type=float, default=1.0)
    chosen = parser.parse_args()
    try:
        secret = bytes.fromhex(chosen.secret)
        run(chosen.link, Path(chosen.state), Path(chosen.data), secret, chosen.hurry, StopEvent(), say)
    except FedRelaError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


def run(
    link: str,
    folder: Path,
    data: Path,
    secret: bytes,
    hurry: float,
    stop: StopEvent,
    on_event: Callable[[Event], None] = lambda event: None,
) -> None:
    """See `main`. Pauses are divided by `hurry`; `stop` ends it earlier. Raises Refused if the enrollment is gone."""
    store = FolderStore(folder)
    api = CoordinatorApi(httpx.Client(timeout=30), sleep=lambda seconds: time.sleep(seconds / hurry))
    identity = state.load_identity(store)
    if identity is None or not identity.device_id:
        enroll(api, store, links.parse(link), secret=secret)
    arrays = tensors.read(data.read_bytes())
    examples = Examples({"x": arrays["x"]}, arrays["y"])

    def on_outcome(outcome: Outcome) -> None:
        if outcome.retry_after_seconds >= 3600:  # nothing is left to do
            stop.set()

    client = DeviceClient(
        api,
        store,
        lambda manifest: examples,
        sleep=lambda seconds: time.sleep(seconds / hurry),
        stop=stop,
        on_event=on_event,
    )
    client.run(on_outcome)


def say(event: Event) -> None:
    """A line for each step, so that the server can kill this process between two."""
    if event.kind == "step":
        print(f"step {event.step} of {event.steps}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
