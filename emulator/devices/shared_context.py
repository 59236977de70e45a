"""What all devices of one process share, and what stays of each between its wake-ups.

context = SharedContext(url, scenario, task, dataset, shards, profiles, transport, pools)
context.enroll(3, link)
"""

from dataclasses import dataclass, field, replace

from fedrela.core.protocol import links
from fedrela.core.protocol.links import Link
from fedrela.core.streams import derive, words
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.edge import client as edge_client
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.storage.store import MemoryStore
from fedrela.emulator.connections.minimal_http import ConcurrentTransport, MinimalClient
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards
from fedrela.emulator.devices import malicious
from fedrela.emulator.devices.storage import AttackersStore, DeviceBlobs, SharedBlobs
from fedrela.emulator.fleet.profiles import DeviceProfile, DeviceProfiles
from fedrela.emulator.scenario import Scenario

_SECRET = b"fedrela emulator"
_MAX_CONCURRENT = 8  # devices
_TRAINING_STATES_BYTES = 64_000_000  # of their training states, about


@dataclass
class DeviceState:
    """What stays of a device between its wake-ups."""

    store: MemoryStore
    blobs: DeviceBlobs
    installation: int = 0  # how often its owner has removed it
    bundles: set[str] = field(default_factory=set)  # manifests whose programs it has downloaded
    attacker: malicious.Attacker | None = None


@dataclass
class SharedContext:
    """What all devices of one process share."""

    url: str
    scenario: Scenario
    task: Task
    dataset: Dataset
    shards: Shards
    profiles: DeviceProfiles
    transport: ConcurrentTransport
    pools: dict[str, EnginePool]  # by runtime
    shared: SharedBlobs = field(default_factory=SharedBlobs)
    states: dict[int, DeviceState] = field(default_factory=dict)
    parsed: dict[str, Params] = field(default_factory=dict)  # the newest checkpoints as arrays, by SHA-256
    link: Link | None = None  # that devices enroll with

    @property
    def is_secure(self) -> bool:
        """Whether devices hide their updates in groups."""
        return self.task.privacy.secure == "peers"

    def concurrent_devices(self) -> int:
        """How many devices may compute at once where runtimes are called in a background thread.

        Two keep the runtime going; with more, as far as memory allows, this thread hardly ever waits for it.
        """
        largest = max(pool.state_bytes for pool in self.pools.values())
        return min(_MAX_CONCURRENT, max(2, _TRAINING_STATES_BYTES // max(largest, 1)))

    def enroll(self, index: int, link: str) -> None:
        """Join the coordinator, over the real network without its emulated faults."""
        self.link = replace(links.parse(link), url=self.url)
        device = self.profiles.of(index)
        attacker = malicious.Attacker(device.malicious, self.scenario.seed, index) if device.malicious else None
        store = AttackersStore(attacker.tamper_vector) if attacker else MemoryStore()
        self.states[index] = DeviceState(store, DeviceBlobs(self.shared), attacker=attacker)
        self.join(device, CoordinatorApi(MinimalClient(self.transport), self.url))

    def join(self, device: DeviceProfile, api: CoordinatorApi) -> None:
        """Enroll the device by its own client, with the key and secret of this installation."""
        state, seed = self.states[device.index], self.scenario.seed
        secret = device.secret
        purpose: tuple[str | int, ...] = ("key", device.index)
        if state.installation:
            purpose = ("key", device.index, state.installation)
            again = derive(_SECRET, seed, "secret", device.index, state.installation)
            secret = words(again, 8).tobytes()
        key = words(derive(_SECRET, seed, *purpose), 8).tobytes().hex()
        assert self.link is not None  # `enroll` comes first
        # A fleet on a machine of one's own: there is nobody on the way.
        edge_client.enroll(
            api, state.store, self.link, insecure=True, secret=secret, private_key=key, keep_log=False
        )  # the run's event log replaces it
