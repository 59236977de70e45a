"""Update encodings: what comes back, what was dropped, and every malformed body."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import tensors
from fedrela.core.encodings import decode, decode_again, encode, max_body_bytes
from fedrela.core.errors import InvalidMessage, InvalidTensors
from fedrela.core.streams import derive
from fedrela.core.tensors import TensorSpec
from fedrela.core.wire import UpdateMetadata

SPECS = (TensorSpec("a", (4,)), TensorSpec("b", (2, 2)))
CHANGE = {"a": np.array([1, -2, 0.5, 0], np.float32), "b": np.array([[0.1, 0.2], [-0.3, 4]], np.float32)}
STREAM = derive(b"secret", "encode")


def body_of(encoding, change=None, **kwargs):
    return encode(change or CHANGE, UpdateMetadata(5, encoding), stream=STREAM, **kwargs)


def test_float32_is_exact_and_float16_close():
    back, metadata = decode(body_of("float32")[0], SPECS, "float32")
    assert metadata == UpdateMetadata(5)
    assert all(np.array_equal(back[name], CHANGE[name]) for name in CHANGE)
    half, _ = decode(body_of("float16")[0], SPECS, "float16")
    np.testing.assert_allclose(half["b"], CHANGE["b"], rtol=1e-3)


def test_int8_is_within_one_step_and_unbiased():
    back, _ = decode(body_of("int8")[0], SPECS, "int8")
    assert np.abs(back["b"] - CHANGE["b"]).max() <= 4 / 127 + 1e-6
    wide = {"w": np.full(20_000, 0.3, np.float32)}
    wide["w"][0] = 127
    spread, _ = decode(body_of("int8", wide)[0], (TensorSpec("w", (20_000,)),), "int8")
    assert spread["w"][1:].mean() == pytest.approx(0.3, abs=0.02)


def test_int8_of_zero_is_zero():
    zero = {"a": np.zeros(4, np.float32), "b": np.zeros((2, 2), np.float32)}
    assert not any(array.any() for array in decode(body_of("int8", zero)[0], SPECS, "int8")[0].values())


def test_top_k_keeps_the_largest_and_returns_the_rest():
    body, dropped = body_of("top-k", top_k_fraction=0.5)
    back, _ = decode(body, SPECS, "top-k")
    assert back["a"].tolist() == [1, -2, 0, 0]
    assert dropped["a"].tolist() == [0, 0, 0.5, 0]


@given(st.lists(st.floats(-10, 10, width=32), min_size=4, max_size=4), st.floats(0.1, 1))
def test_error_feedback_loses_nothing(values, fraction):
    change = {"a": np.float32(values), "b": CHANGE["b"]}
    body, dropped = body_of("top-k", change, residual=CHANGE, top_k_fraction=fraction)
    back, _ = decode(body, SPECS, "top-k")
    total = tensors.add(back, dropped)
    assert all(np.array_equal(total[name], change[name] + CHANGE[name]) for name in ("a", "b"))


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "top-k"])
def test_no_body_is_larger_than_the_limit(encoding):
    assert len(body_of(encoding, top_k_fraction=1.0)[0]) <= max_body_bytes(SPECS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "top-k"])
def test_a_diverged_update_is_never_sent(encoding, value):
    with pytest.raises(InvalidTensors):
        body_of(encoding, {"a": np.array([value, 0, 0, 0], np.float32), "b": CHANGE["b"]})


def test_float16_overflow_is_refused_on_the_device():
    with pytest.raises(InvalidTensors):
        body_of("float16", {"a": np.array([1e6, 0, 0, 0], np.float32), "b": CHANGE["b"]})


ENCODINGS = ["float32", "float16", "int8", "top-k"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_statistics_travel_whole_in_every_encoding(encoding):
    """A rounded or cut change takes a variance below zero: here by 1.0003 from 1.0003, and beyond float16."""
    change = CHANGE | {"b": np.array([[-1.0003, 1e-7], [0, 7e4]], np.float32)}
    body, dropped = body_of(encoding, change, statistics={"b"}, residual={"a": CHANGE["a"]}, top_k_fraction=0.25)
    assert tensors.read(body)["b"].dtype == np.float32
    back, _ = decode(body, SPECS, encoding, {"b"})
    assert list(back) == ["a", "b"]
    assert back["b"].tobytes() == change["b"].tobytes()
    assert set(dropped) == ({"a"} if encoding == "top-k" else set())


@pytest.mark.parametrize("encoding", ENCODINGS[1:])
def test_statistics_that_are_encoded_are_refused_and_read_where_they_were_accepted_before(encoding):
    body, _ = body_of(encoding, top_k_fraction=1.0)
    with pytest.raises(InvalidTensors):
        decode(body, SPECS, encoding, {"b"})
    again = decode_again(body, SPECS, encoding, {"b"})
    assert all(np.array_equal(array, decode(body, SPECS, encoding)[0][name]) for name, array in again.items())


@pytest.mark.parametrize("value", [np.zeros(3, np.float32), np.full((2, 2), np.nan, np.float32)])
def test_a_statistic_that_does_not_fit_is_refused(value):
    with pytest.raises(InvalidTensors):
        decode(crafted({"a": CHANGE["a"], "b": value}, "float32"), SPECS, "float32", {"b"})


def crafted(arrays, encoding="top-k", metadata=None):
    return tensors.to_bytes(arrays, UpdateMetadata(5, encoding).as_strings() | (metadata or {}))


B_PART = {"b.indices": np.array([0], np.int32), "b.values": np.array([1], np.float32)}


@pytest.mark.parametrize(
    ("indices", "values"),
    [
        ([1, 0], [1, 1]),
        ([0, 0], [1, 1]),
        ([-1], [1]),
        ([4], [1]),
        ([0, 1], [1]),
        ([0], [np.nan]),
        ([0, 2**31 - 1, -(2**31)], [1, 1, 1]),
    ],
)
def test_malformed_top_k_is_refused(indices, values):
    arrays = B_PART | {"a.indices": np.int32(indices), "a.values": np.float32(values)}
    with pytest.raises(InvalidTensors):
        decode(crafted(arrays), SPECS, "top-k")


def test_top_k_with_a_missing_tensor_or_an_overflowing_int8_scale_is_refused():
    with pytest.raises(InvalidTensors):
        decode(crafted(B_PART), SPECS, "top-k")
    huge = {"a": np.full(4, 127, np.int8), "a.scale": np.array(3e38, np.float32)}
    huge |= {"b": np.zeros((2, 2), np.int8), "b.scale": np.array(1, np.float32)}
    with np.errstate(over="ignore"), pytest.raises(InvalidTensors, match="not finite"):
        decode(crafted(huge, "int8"), SPECS, "int8")


def test_another_encoding_than_the_tasks_is_refused():
    with pytest.raises(InvalidTensors, match="float16"):
        decode(body_of("float16")[0], SPECS, "float32")


@pytest.mark.parametrize(
    "metadata",
    [
        {"examples": "0"},
        {"examples": "-1"},
        {"examples": "1e3"},
        {"examples": "9" * 30},
        {"protocol": "2"},
        {"encoding": "gzip"},
        {"labels": "3"},
    ],
)
def test_bad_metadata_is_refused(metadata):
    with pytest.raises((InvalidMessage, InvalidTensors)):
        decode(crafted(CHANGE, "float32", metadata), SPECS, "float32")


def test_missing_metadata_is_refused():
    with pytest.raises(InvalidMessage):
        decode(tensors.to_bytes(CHANGE), SPECS, "float32")
