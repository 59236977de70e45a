"""The mean by tiles: the same bits as the plain mean, and every kind of damage named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedrela.coordinator.aggregation import tiles
from fedrela.coordinator.aggregation.tiles import Part
from fedrela.coordinator.storage import blob_urls
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import FolderBlobs
from fedrela.core import signing, tensors
from fedrela.core.aggregation import aggregate
from fedrela.core.errors import IntegrityError, Unavailable
from fedrela.core.tensors import Params, TensorSpec
from fedrela.core.wire import UpdateMetadata

SPECS = (TensorSpec("w", (301, 333)), TensorSpec("b", (7,)), TensorSpec("s", ()))  # two digest pieces and a rest


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    """A folder of blobs that is read in tiles of 40 000 bytes, which are no multiple of a digest's piece."""
    folder_blobs = FolderBlobs(tmp_path)
    folder_blobs.tile_bytes = 40_000
    return folder_blobs


def stored(blobs: FolderBlobs, index: int, specs: tuple[TensorSpec, ...] = SPECS) -> tuple[Params, Part]:
    """An update of pseudo-random values; the number of examples changes the length of its header."""
    rng = np.random.default_rng(index)
    update = {spec.name: rng.normal(size=[int(size) for size in spec.shape]).astype(np.float32) for spec in specs}
    body = tensors.to_bytes(update, UpdateMetadata(10**index).as_strings())
    name = blob_store.update(f"a-{index}", signing.sha256(body))
    blobs.put(name, body)
    factor = 1.0 if index % 2 else 0.7071
    return update, Part(name, blob_store.quick_digest(body), len(body), weight=10.0**index, factor=factor)


def mean(blobs: FolderBlobs, parts: list[Part], specs: tuple[TensorSpec, ...] = SPECS) -> Params | None:
    return tiles.mean(blobs, parts, specs, on_progress=lambda: None)


def test_it_has_the_bits_of_the_plain_mean_in_the_manifest_s_order(blobs: FolderBlobs) -> None:
    updates = [stored(blobs, index) for index in range(5)]
    scaled = [(tensors.scale(update, part.factor), part.weight) for update, part in updates]
    expected = aggregate.mean(scaled, zero=updates[0][0])
    average = mean(blobs, [part for _, part in updates])
    assert average is not None
    assert list(average) == ["w", "b", "s"]
    for name, array in expected.items():
        assert average[name].shape == array.shape
        assert average[name].tobytes() == array.tobytes()


def test_an_object_store_gives_the_same_bits(blobs: FolderBlobs, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    parts = [stored(blobs, index)[1] for index in range(3)]
    base, _, query = s3_url.partition("?")
    remote = blob_urls.connect(f"{base}/tiles?{query}")
    for part in parts:
        remote.put(part.name, blobs.read(part.name))
    expected = mean(blobs, parts)
    average = tiles.mean(remote, parts, SPECS, on_progress=lambda: None)
    assert expected is not None
    assert average is not None
    assert [array.tobytes() for array in average.values()] == [array.tobytes() for array in expected.values()]
    remote.put(parts[1].name, blobs.read(parts[1].name)[:-9])
    with pytest.raises((IntegrityError, Unavailable)):
        tiles.mean(remote, parts, SPECS, on_progress=lambda: None)
    remote.delete(parts[0].name)
    with pytest.raises(IntegrityError, match="missing"):
        tiles.mean(remote, parts, SPECS, on_progress=lambda: None)


def test_a_body_that_ends_with_a_whole_piece_has_no_rest(blobs: FolderBlobs) -> None:
    header_bytes = len(blobs.read(stored(blobs, 1, (TensorSpec("w", (30_000,)),))[1].name)) - 120_000
    specs = (TensorSpec("w", ((2 * blob_store.DIGEST_PIECE - header_bytes) // 4,)),)
    parts = [stored(blobs, 1, specs)[1]]
    assert parts[0].size_bytes == 2 * blob_store.DIGEST_PIECE
    assert mean(blobs, parts, specs) is not None


@pytest.mark.parametrize("tile_bytes", [8, 65_536, 10**9])
def test_the_size_of_a_tile_changes_no_bit(blobs: FolderBlobs, tile_bytes: int) -> None:
    specs = (TensorSpec("w", (1001,)),)
    parts = [stored(blobs, index, specs)[1] for index in range(3)]
    expected = mean(blobs, parts, specs)
    blobs.tile_bytes = tile_bytes
    average = mean(blobs, parts, specs)
    assert expected is not None
    assert average is not None
    assert average["w"].tobytes() == expected["w"].tobytes()


def test_bodies_of_different_layouts_are_left_to_the_general_way(blobs: FolderBlobs) -> None:
    _, one = stored(blobs, 1)
    other = bytearray(blobs.read(one.name))
    first, second = other.index(b'"b"'), other.index(b'"s"')
    other[first : first + 3], other[second : second + 3] = b'"s"', b'"b"'
    blobs.put("private/a-x." + "0" * 64, bytes(other))
    two = Part("private/a-x." + "0" * 64, blob_store.quick_digest(bytes(other)), len(other), 1.0)
    assert mean(blobs, [one, two]) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[:-1] + bytes([body[-1] ^ 1]),
        lambda body: bytes([body[0] ^ 1]) + body[1:],
        lambda body: b"\xff" * 8 + body[8:],
        lambda body: body[:9] + b"}" + body[10:],
        lambda body: body[:70_000] + bytes([body[70_000] ^ 0x80]) + body[70_001:],
        lambda body: body[:-5],
        lambda body: b"",
        lambda body: body[:1000] + np.float32(np.nan).tobytes() + body[1004:],
        lambda body: body.replace(b'"examples":"100"', b'"examples":"900"'),
    ],
)
def test_any_damage_is_found_and_named(blobs: FolderBlobs, change: Callable[[bytes], bytes]) -> None:
    parts = [stored(blobs, index)[1] for index in (1, 2)]
    (blobs.root / parts[1].name).write_bytes(change(blobs.read(parts[1].name)))
    with pytest.raises(IntegrityError, match=r"update a-2.*damaged"):
        mean(blobs, parts)


def test_a_missing_update_is_named(blobs: FolderBlobs) -> None:
    parts = [stored(blobs, index)[1] for index in (1, 2)]
    blobs.delete(parts[0].name)
    with pytest.raises(IntegrityError, match=r"update a-1.*missing"):
        mean(blobs, parts)
