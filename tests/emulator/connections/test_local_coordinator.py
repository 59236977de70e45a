"""Where a coordinator that is thrown away keeps its data."""

import shutil
from types import SimpleNamespace

from fedrela.emulator.connections import local_coordinator


def test_the_folder_is_in_memory_where_there_is_room_and_gone_afterwards(monkeypatch):
    for free, in_memory in ((10**12, True), (10**6, False)):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda path, usage=usage: usage)
        with local_coordinator.throwaway_folder() as folder:
            assert folder.is_dir()
            assert folder.name.startswith(local_coordinator.FOLDER_PREFIX)
            expected = in_memory and local_coordinator.MEMORY.is_dir()
            assert folder.is_relative_to(local_coordinator.MEMORY) == expected
        assert not folder.exists()
