"""Joining and leaving a real coordinator."""

from dataclasses import fields, replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from fedrela.core import signing
from fedrela.core.errors import InvalidInput, Refused
from fedrela.core.protocol import links
from fedrela.core.protocol.links import Link
from fedrela.core.wire import EnrollRequest
from fedrela.edge.client import DeviceClient
from fedrela.edge.network.api import CoordinatorApi, Retry
from fedrela.edge.owner import disclosure
from fedrela.edge.owner.cli import app
from fedrela.edge.owner.membership import enroll, forget
from fedrela.edge.storage import state
from fedrela.edge.storage.store import FolderStore, MemoryStore
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, device


def wrong_link(live: LiveCoordinator) -> Link:
    """A link of this coordinator, but for its token."""
    return replace(links.parse(live.link()), token="not-a-token")


def test_a_device_must_enroll_first_and_once(live: LiveCoordinator) -> None:
    client = device(live, 1, some_examples())
    with pytest.raises(InvalidInput, match=r"already enrolled.*device forget.*--state"):
        enroll(client.api, client.store, links.parse(live.link()))
    with pytest.raises(InvalidInput, match="fedrela device enroll"):
        DeviceClient(client.api, MemoryStore(), lambda manifest: some_examples())


def test_a_wrong_token_is_refused_with_its_remedy(live: LiveCoordinator) -> None:
    api = device(live, 1, some_examples()).api
    api.token = ""
    with pytest.raises(Refused, match="ask the operator for a new link"):
        enroll(api, MemoryStore(), wrong_link(live))


def test_an_enrollment_is_in_the_owners_record_and_the_links_secret_is_not(
    live: LiveCoordinator, tmp_path: Path
) -> None:
    link, state_folder = live.link(), tmp_path / "state"
    result = CliRunner().invoke(app, ["device", "enroll", link, "--state", str(state_folder)])
    assert result.exit_code == 0, result.output
    told = disclosure.describe(FolderStore(state_folder))
    assert [(line["method"], line["path"]) for line in told["requests"]] == [
        ("GET", "/v1/tasks"), ("POST", "/v1/devices"),
    ]  # fmt: skip
    identity = state.load_enrolled(FolderStore(state_folder))
    message = told["messages"]["devices"]
    assert message["public_key"] == signing.public_key(identity.private_key)
    assert set(message) == {field.name for field in fields(EnrollRequest)}
    token = links.parse(link).token.encode()
    kept = [path.read_bytes() for path in state_folder.rglob("*") if path.is_file()]
    assert kept
    assert not [body for body in kept if token in body]


def test_no_record_is_kept_where_none_is_wanted(live: LiveCoordinator) -> None:
    client, store = device(live, 1, some_examples()), MemoryStore()
    client.api.token = ""
    enroll(client.api, store, links.parse(live.link()), keep_log=False)
    assert store.keys() == ["identity.json"]


def test_forget_tells_the_coordinator_and_deletes_everything(live: LiveCoordinator, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "state")
    client = device(live, 1, some_examples(), store=store)
    forget(client.api, store)
    assert not (tmp_path / "state").exists()
    with pytest.raises(Refused) as refused:
        client.run_once()
    assert refused.value.status == 401


def test_an_enrollment_that_was_cut_off_goes_on_with_the_same_key(live: LiveCoordinator) -> None:
    api, store = device(live, 1, some_examples()).api, MemoryStore()
    api.token = ""
    with pytest.raises(Refused):
        enroll(api, store, wrong_link(live))
    begun = store.get("identity.json")
    identity = enroll(api, store, links.parse(live.link()))
    assert begun is not None
    assert f'"private_key":"{identity.private_key}"'.encode() in begun
    assert f'"secret":"{identity.secret}"'.encode() in begun


def test_forgetting_what_the_coordinator_forgot_first_is_no_error(live: LiveCoordinator, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "state")
    client = device(live, 1, some_examples(), store=store)
    live.admin.request("DELETE", f"/devices/{client.identity.device_id}")
    forget(client.api, store)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_page_that_is_no_answer_of_a_coordinator_forgets_nothing(
    live: LiveCoordinator, tmp_path: Path, status: int
) -> None:
    store = FolderStore(tmp_path / "state")
    client = device(live, 1, some_examples(), store=store)
    pages = httpx.MockTransport(lambda request: httpx.Response(status, content=iter([b"<html>Nothing here</html>"])))
    with pytest.raises(Refused, match=f"answered HTTP {status}"):
        forget(CoordinatorApi(httpx.Client(transport=pages), live.url, retry=Retry(attempts=1)), store)
    assert state.load_identity(store) == client.identity
