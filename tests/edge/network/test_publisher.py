"""A device runs programs of the publishers that its link names, whatever the coordinator's own key signs."""

from dataclasses import replace

import pytest

from fedrela.conformance.files import PUBLISHER, PUBLISHER_KEY
from fedrela.core import signing
from fedrela.core.bundle import Bundle
from fedrela.core.errors import IntegrityError
from fedrela.core.protocol import seals
from fedrela.core.protocol.seals import Seal
from fedrela.core.wire import Assignment
from fedrela.edge.client import Outcome
from fedrela.edge.storage import state
from fedrela.edge.storage.store import MemoryStore
from tests.edge.network.test_fuzz import SIGNING_KEY, MaliciousCoordinator, session

MANIFEST, WEIGHTS = "ab" * 32, "cd" * 32


def sealed_by(key: str, manifest_sha256: str = MANIFEST) -> Seal:
    return seals.seal(key, manifest_sha256=manifest_sha256, weights_sha256=WEIGHTS)


FORGED = {
    "none": lambda good: None,
    "the coordinator's own": lambda good: sealed_by(SIGNING_KEY, good.manifest_sha256),
    "of another program": lambda good: sealed_by(PUBLISHER_KEY),
    "another program's, renamed": lambda good: replace(sealed_by(PUBLISHER_KEY), manifest_sha256=good.manifest_sha256),
    "with another key": lambda good: replace(good, public_key=signing.public_key(SIGNING_KEY)),
    "over other weights": lambda good: replace(good, weights_sha256="00" * 32),
    "no signature": lambda good: replace(good, signature="00" * 64),
}


@pytest.mark.parametrize("name", FORGED)
def test_no_other_seal_makes_a_device_load_anything(small_bundle: Bundle, name: str) -> None:
    server = MaliciousCoordinator(small_bundle, "nothing", bytes, sign=True)
    offer, answer, asked = server.assignment, server.handle, []

    def forged(nonce: str) -> Assignment:
        offered = offer(nonce)
        assert offered.seal is not None
        return server.signed(replace(offered, seal=FORGED[name](offered.seal)), nonce)

    server.assignment = forged  # type: ignore[method-assign]
    server.handle = lambda request: asked.append(request.url.path) or answer(request)  # type: ignore[method-assign,func-returns-value]
    result = session(server, MemoryStore())
    assert isinstance(result, Outcome)
    assert (result.kind, result.reason) == ("dropped", "integrity-failed")
    assert not [path for path in asked if path.startswith("/v1/blobs/")], "nothing was fetched"


def test_the_link_s_publisher_is_pinned_and_his_programs_run(small_bundle: Bundle) -> None:
    store = MemoryStore()
    result = session(MaliciousCoordinator(small_bundle, "nothing", bytes, sign=True), store)
    assert isinstance(result, Outcome)
    assert result.kind == "uploaded"
    identity = state.load_identity(store)
    assert identity is not None
    assert identity.publishers == (PUBLISHER,)


def test_a_seal_is_checked_for_manifest_publisher_and_signature() -> None:
    good = sealed_by(PUBLISHER_KEY)
    seals.check(good, MANIFEST, ("0" * 32, PUBLISHER))
    for forged, manifest_sha256, publishers in (
        (good, "00" * 32, (PUBLISHER,)),
        (good, MANIFEST, ()),
        (good, MANIFEST, ("0" * 32,)),
        (replace(good, weights_sha256=MANIFEST), MANIFEST, (PUBLISHER,)),
        (None, MANIFEST, (PUBLISHER,)),
    ):
        with pytest.raises(IntegrityError):
            seals.check(forged, manifest_sha256, publishers)
