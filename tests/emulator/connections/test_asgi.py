"""The coordinator in this process, asked where an event loop runs already: in an async test, in a notebook."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from fedrela.coordinator.admin_client import AdminClient
from fedrela.emulator.connections import local_coordinator
from tests.edge import softmax_bundle
from tests.edge.live import small_task


def ask(folder: Path, bundle: Path) -> list[dict[str, Any]]:
    """Publish to a coordinator in this process, and list its tasks."""
    with (
        local_coordinator.in_process(folder) as (url, key, transport),
        httpx.Client(transport=transport) as http,
    ):
        admin = AdminClient(url, key, http=http)
        admin.publish(bundle, small_task())
        return list(admin.get("/tasks"))


def test_inside_an_event_loop_and_outside_the_answers_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    softmax_bundle.write(tmp_path / "bundle")

    async def inside() -> list[dict[str, Any]]:
        return ask(tmp_path / "inside", tmp_path / "bundle")

    (of_loop,), (plain,) = asyncio.run(inside()), ask(tmp_path / "plain", tmp_path / "bundle")
    assert of_loop["name"] == plain["name"]
    assert of_loop.keys() == plain.keys()


def test_the_fleet_runs_in_an_async_test(emulate: Any) -> None:
    async def async_test() -> str:
        await asyncio.sleep(0)
        return str(emulate().final_sha256)

    assert asyncio.run(async_test()) == emulate().final_sha256


def test_a_fault_of_the_application_reaches_who_asked(tmp_path: Path) -> None:
    async def inside() -> int:
        with local_coordinator.in_process(tmp_path) as (url, _, transport), httpx.Client(transport=transport) as http:
            return http.get(f"{url}/v1/admin/tasks").status_code

    assert asyncio.run(inside()) == 401
