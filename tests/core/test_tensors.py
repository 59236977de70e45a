"""Params and safetensors bytes: every malformation is refused, everything else survives a round trip."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import tensors
from fedrela.core.errors import InvalidTensors
from fedrela.core.tensors import TensorSpec

SPECS = (TensorSpec("a", (2, 3)), TensorSpec("b", ()))
GOOD = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(7).reshape(())}


def test_round_trip_in_the_order_of_the_specs():
    back = tensors.from_bytes(tensors.to_bytes(dict(reversed(GOOD.items()))), SPECS)
    assert list(back) == ["a", "b"]
    assert all(np.array_equal(back[name], GOOD[name]) for name in GOOD)


def test_what_is_read_is_sorted_by_name_in_every_run():
    names = [f"{number:02}" for number in range(64)]  # the library's own order would be another, all but surely
    assert list(tensors.read(tensors.to_bytes(dict.fromkeys(reversed(names), GOOD["b"])))) == names


def test_metadata_round_trip_and_equal_bytes_whatever_its_order():
    one = tensors.to_bytes(GOOD, {"x": "1", "y": "2"})
    two = tensors.to_bytes(GOOD, {"y": "2", "x": "1"})
    assert tensors.read_metadata(one) == {"x": "1", "y": "2"}
    assert tensors.read_metadata(tensors.to_bytes(GOOD)) == {}
    assert tensors.to_bytes(GOOD) == tensors.to_bytes(GOOD)
    assert one == two


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"c": np.array([1], np.float32)}, "names differ"),
        ({"a": None}, "names differ"),
        ({"a": np.zeros((3, 2), np.float32)}, "shape"),
        ({"a": np.zeros((2, 3), np.float16)}, "float16"),
        ({"b": np.array(np.nan, np.float32)}, "not finite"),
        ({"b": np.array(np.inf, np.float32)}, "not finite"),
    ],
)
def test_wrong_tensors_are_refused(change, says):
    wrong = {name: array for name, array in (GOOD | change).items() if array is not None}
    with pytest.raises(InvalidTensors, match=says):
        tensors.from_bytes(tensors.to_bytes(wrong), SPECS)


def test_a_foreign_dtype_is_refused():
    with pytest.raises(InvalidTensors, match="F64"):
        tensors.read(tensors.to_bytes({"a": np.zeros(2, np.float64)}))


@given(st.data())
def test_truncated_and_overlong_bytes_are_refused(data):
    body = tensors.to_bytes(GOOD)
    cut = data.draw(st.integers(0, len(body) - 1))
    for wrong in (body[:cut], body + b"x"):
        with pytest.raises(InvalidTensors):
            tensors.from_bytes(wrong, SPECS)


def header(entries: object, payload: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + payload


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 16,
        struct.pack("<Q", 2**63) + b"{}",
        header([]),
        header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"\0" * 8),
        header({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 4]}}, b"\0" * 4),
    ],
)
def test_malformed_headers_are_refused(body):
    with pytest.raises(InvalidTensors):
        tensors.from_bytes(body, SPECS)


@given(st.binary(max_size=200))
def test_garbage_is_never_anything_but_refused(body):
    with pytest.raises(InvalidTensors):
        tensors.from_bytes(body, SPECS)


def test_arithmetic_by_hand():
    one, two = {"w": np.array([3, 4], np.float32)}, {"w": np.array([1, 1], np.float32)}
    assert tensors.l2_norm(one) == 5
    assert tensors.subtract(one, two)["w"].tolist() == [2, 3]
    assert tensors.add(one, two)["w"].tolist() == [4, 5]
    assert tensors.scale(one, 0.5)["w"].tolist() == [1.5, 2]
    assert tensors.zeros(SPECS)["a"].shape == (2, 3)
    assert tensors.specs_of(GOOD) == SPECS
    assert SPECS[0].size == 6
    assert SPECS[1].size == 1
