"""Arrays in pickles: numpy's are read as numpy reads them, and nothing that a damaged one says ends the process."""

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrela.conformance.sources.verdicts import verdict
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import cifar
from fedrela.edge.sources.pickled_arrays import PickledArray, PickledDtype, reconstruct

PLAIN = (None, None, None, -1, -1, 0)


def filled(*state: Any) -> PickledArray:
    """An array with such a state."""
    array = reconstruct(PickledArray, (0,), b"b")
    array.__setstate__(state)
    return array


def bytes_of(*state: Any) -> PickledDtype:
    """The dtype uint8 with such a state."""
    kind = PickledDtype("u1", False, True)
    kind.__setstate__(state)
    return kind


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "<i8", ">i4", "int16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_what_numpy_pickles_is_read_as_it_is(tmp_path, protocol: int, dtype: str, order: str) -> None:
    pixels = np.arange(2 * 3072).reshape(2, 3072).astype(np.uint8)
    pixels = np.asfortranarray(pixels) if order == "F" else pixels
    labels = np.array([5, 3], dtype)
    (tmp_path / "train").write_bytes(pickle.dumps({b"data": pixels, b"labels": labels}, protocol=protocol))
    read, y = cifar.read(tmp_path)
    np.testing.assert_array_equal(read.reshape(2, -1), pixels)
    assert y.tolist() == [5, 3]


@pytest.mark.parametrize(
    "state",
    [
        (1, (2,), PickledDtype, False, b"ab"),  # a class in place of a dtype: numpy 2 ends the process
        (1, (2,), None, False, b"ab"),
        (1, (3,), PickledDtype("u1", False, True), False, b"ab"),
        (1, (-2,), PickledDtype("u1", False, True), False, b"ab"),
        (1, (True, 2), PickledDtype("u1", False, True), False, b"ab"),
        (1, [2], PickledDtype("u1", False, True), False, b"ab"),
        (1, (1 << 70, 0), PickledDtype("u1", False, True), False, "ab"),
        (-1, (2,), PickledDtype("u1", False, True), False, b"ab"),
        (1, (2,), PickledDtype("u1", False, True)),
        (1, (2,), PickledDtype("u1", False, True), [], b"ab"),  # an order that is none
        (1, (2,), PickledDtype("u1", False, True), (False,), b"ab"),
        (1.0, (2,), PickledDtype("u1", False, True), False, b"ab"),
        (True, (2,), PickledDtype("u1", False, True), False, b"ab"),
    ],
)
def test_a_state_that_is_no_arrays_is_refused(state: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"it holds an array|not enough values"):
        filled(*state)


@pytest.mark.parametrize(
    "state",
    [(-1, "|", *PLAIN), (3, "?", *PLAIN), (3, "|", ("a",), None, None, -1, -1, 0), (3, "|"), (3, b"\xff", *PLAIN),
     (3.0, "|", *PLAIN), (3, "|", *PLAIN[:5], False), (3, "|", *PLAIN[:3], -1.0, -1, 0)],
)  # fmt: skip
def test_a_state_that_is_no_dtypes_is_refused(state: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"it holds an array|ordinal not in range"):
        bytes_of(*state)


@pytest.mark.parametrize("code", ["O", "f8", "u1,u1", "V8", b"S1"])
def test_arrays_are_of_whole_numbers(code: Any) -> None:
    with pytest.raises(ValueError, match="it holds an array of"):
        PickledDtype(code, False, True)


def test_an_array_without_values_is_none() -> None:
    with pytest.raises(ValueError, match="without values"):
        reconstruct(PickledArray, (0,), "b").values()
    with pytest.raises(ValueError, match="a class of its own"):
        reconstruct(np.ndarray, (0,), "b")
    with pytest.raises(ValueError, match="a class of its own"):
        reconstruct(PickledArray, (0.0,), "b")


def batch(folder: Path, protocol: int) -> bytes:
    """A batch of one picture, and its bytes."""
    pixels = np.zeros((1, 3072), np.uint8)
    (folder / "train").write_bytes(pickle.dumps({b"data": pixels, b"labels": [7]}, protocol=protocol))
    return (folder / "train").read_bytes()


@pytest.mark.parametrize("longer", [-3000, -4, 1, 1 << 40])
def test_a_frame_of_another_length_is_refused(tmp_path: Path, longer: int) -> None:
    body = bytearray(batch(tmp_path, 4))
    assert body[2:3] == pickle.FRAME
    (length,) = struct.unpack_from("<Q", body, 3)
    assert cifar.read(tmp_path)[1].tolist() == [7]
    struct.pack_into("<Q", body, 3, length + longer)
    (tmp_path / "train").write_bytes(body)
    with pytest.raises(InvalidData, match="a frame"):
        cifar.read(tmp_path)


def test_a_frame_in_a_frame_is_refused(tmp_path: Path) -> None:
    body = batch(tmp_path, 4)
    inner = pickle.FRAME + struct.pack("<Q", len(body) - 11)
    outer = pickle.FRAME + struct.pack("<Q", len(body) - 2)
    (tmp_path / "train").write_bytes(body[:2] + outer + inner + body[11:])
    with pytest.raises(InvalidData, match="a frame begins within another"):
        cifar.read(tmp_path)


@pytest.mark.parametrize(
    "number",
    [75_061, 35_516, 65_330, 41_490],
    ids=["numpy ended the process", "a list for an order", "a tuple for an order", "frames"],
)
def test_files_that_were_read_and_should_not_be_are_refused(number: int) -> None:
    assert verdict("cifar", 0, number) == "refused"
