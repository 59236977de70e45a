"""What the devices of one process share."""

from fedrela.conformance.files import ROUNDS_BUNDLE
from fedrela.core import bundle
from fedrela.core.bundle import PROGRAMS
from fedrela.edge.engines.pool import EnginePool
from fedrela.emulator.devices.storage import SharedEngines


def test_a_device_downloads_all_programs_before_it_asks_the_shared_pool():
    opened, shared = bundle.read(ROUNDS_BUNDLE), EnginePool()
    read: list[str] = []
    marked: list[str] = []

    def download(file):
        # The other devices of the process go on meanwhile: one that waited for the pool would stop them all.
        assert shared._lock.acquire(blocking=False)
        shared._lock.release()
        read.append(file.path)
        return (ROUNDS_BUNDLE / file.path).read_bytes()

    for _ in range(2):  # the second device too, though the engine is there
        mine = SharedEngines(shared, lambda sha256: False, marked.append, {})
        engine = mine.open("m", opened.manifest, download)
        assert engine is shared.known("m")
    assert read == [getattr(opened.manifest, program).file("onnx").path for program in PROGRAMS] * 2
    assert marked == ["m", "m"]
