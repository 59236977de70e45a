"""30 % of the requests lost, repeated, cut, delayed or refused: the task completes, and with the same bits."""

from pathlib import Path

import httpx
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import Unavailable
from fedrela.edge.client import DeviceClient
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, device, small_task
from tests.edge.network.faulty_proxy import FAULTS, faulty
from tests.patience import PATIENCE_SECONDS


def assignment_until_finished(devices: list[DeviceClient], live: LiveCoordinator, task_id: str, rounds: int) -> int:
    """Assignments as `DeviceClient.run` takes them, without its long pauses; how often the network was given up on."""
    gave_up = 0
    for _ in range(400):
        if live.committed(task_id) == rounds:
            return gave_up
        for client in devices:
            try:
                client.run_once()
            except Unavailable:
                gave_up += 1
    raise AssertionError("the task did not finish")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_network_changes_nothing(tmp_path: Path, small_bundle: Bundle, seed: int) -> None:
    histories = []
    for share in (0.0, 0.3):
        with coordinator(tmp_path / str(share)) as live, faulty(live.url, share=share, seed=seed) as proxy:
            task_id = live.publish(small_bundle, small_task())
            devices = [device(live, number, some_examples(20, seed=number)) for number in range(2)]
            for client in devices:
                client.api.url = proxy.url
                client.api.http = httpx.Client(
                    timeout=PATIENCE_SECONDS, trust_env=False, headers={"Connection": "close"}
                )
            assignment_until_finished(devices, live, task_id, 3)
            histories.append([(r["checkpoint_sha256"], r["updates"]) for r in live.rounds(task_id) if r["updates"]])
            if share:
                assert sum(proxy.faults.values()) > 0.2 * proxy.requests
                assert len(set(proxy.faults) & set(FAULTS)) >= 6
    assert histories[0] == histories[1]
    assert [updates for _, updates in histories[0]] == [2, 2, 2]
