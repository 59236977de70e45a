"""Examples are checked before anything is trained; overlays never touch the originals and stand growth."""

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidData, InvalidTensors
from fedrela.core.tensors import Array
from fedrela.edge.training import classes, contradictions, dtypes
from fedrela.edge.training.examples import Examples, Overlay, check
from tests.edge.conftest import some_examples

PIXELS = np.zeros((2, 1, 4, 4), np.uint8)


def test_good_examples_pass(small_bundle: Bundle) -> None:
    for good in (some_examples(), some_examples(1)):
        checked = check(good, small_bundle.manifest)
        assert checked.y.tolist() == good.y.tolist()
        assert checked.x["x"] is good.x["x"]


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (Examples({"x": PIXELS[:0]}, np.empty(0, np.int64)), "there is no example"),
        (Examples({"x": PIXELS}, np.array([0, 3])), r"a label is outside 0\.\.2"),
        (Examples({"x": PIXELS}, np.array([-1, 0])), r"a label is outside 0\.\.2"),
        (Examples({"x": PIXELS}, np.array([0.5, 1.0])), "whole numbers"),
        (Examples({"x": PIXELS}, np.array([np.nan, 1.0])), "whole numbers"),
        (Examples({"x": PIXELS}, np.array([True, False])), "whole numbers"),
        (Examples({"x": PIXELS}, np.array([{}, {}])), "whole numbers"),
        (Examples({"x": PIXELS}, np.int64(1)), r"the labels have shape \(\)"),  # type: ignore[arg-type]
        (Examples({"x": PIXELS}, np.array([2**63, 0], np.uint64)), "a label is outside"),
        (Examples({"x": PIXELS}, np.array(["0", "dog"])), "no class 'dog'; name the classes 0 to 2"),
        (Examples({"x": PIXELS.astype(np.int16) - 1}, np.array([0, 1])), "make it uint8"),
        (Examples({"x": [[1], [1, 2]]}, np.array([0, 1])), "is no array"),  # type: ignore[dict-item]
        (Examples({"x": PIXELS}, np.array([0, 1]), np.array([5])), "1 ids for 2 labels"),
        (Examples({"x": PIXELS}, np.array([0, 1]), np.array([0.5, 1])), "the ids of the samples"),
        (Examples({"x": PIXELS}, np.array([[0], [1]])), "the labels have shape"),
        (Examples({"x": PIXELS}, np.array([0, 1, 2])), r"make it \(3, 1, 4, 4\)"),
        (Examples({"x": PIXELS[:, :, :3]}, np.array([0, 1])), r"has shape \(2, 1, 3, 4\)"),
        (Examples({"x": PIXELS.astype(np.float32)}, np.array([0, 1])), "make it uint8"),
        (Examples({"pixels": PIXELS}, np.array([0, 1])), "name them x"),
        (Examples({"x": PIXELS}, np.array([0, 1]), np.array([5, 5], np.uint64)), "the same key"),
    ],
)
def test_bad_examples_are_refused_with_a_remedy(small_bundle: Bundle, examples: Examples, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        check(examples, small_bundle.manifest)


def test_a_nan_is_found_and_its_sample_named(small_bundle: Bundle) -> None:
    step = small_bundle.manifest.train_step
    inputs = tuple(replace(i, dtype="float32") if i.role == "x" else i for i in step.inputs)
    manifest = replace(small_bundle.manifest, train_step=replace(step, inputs=inputs))
    pixels = np.zeros((3, 1, 4, 4), np.float32)
    pixels[2, 0, 1, 1] = np.nan
    with pytest.raises(InvalidData, match="sample 2 of input 'x'"):
        check(Examples({"x": pixels}, np.zeros(3, np.int64)), manifest)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30,
                unique_by=lambda row: row[0]), st.data())  # fmt: skip
def test_an_overlay_survives_its_bytes_reordering_and_growth(rows: list, data: st.DataObject) -> None:
    keys, before, after = (np.array(column, kind) for column, kind in zip(zip(*rows, strict=True), "Qqq", strict=True))
    examples = Examples({"x": np.zeros((len(rows), 1))}, before, keys)
    overlay = Overlay.from_bytes(Overlay.of(examples, after, generation=3).to_bytes())
    assert overlay.generation == 3
    assert overlay.labels(examples).tolist() == after.tolist()
    assert examples.y.tolist() == before.tolist()
    order = np.array(data.draw(st.permutations(range(len(rows)))))
    assert overlay.labels(examples.take(order)).tolist() == after[order].tolist()
    new_key = next(key for key in range(100) if key not in set(keys.tolist()))
    grown = Examples({"x": np.zeros((len(rows) + 1, 1))}, np.append(before, 1), np.append(keys, np.uint64(new_key)))
    assert overlay.labels(grown).tolist() == [*after.tolist(), 1]


def test_a_damaged_overlay_is_an_error() -> None:
    body = Overlay.of(some_examples(4), np.array([2, 2, 2, 2]), generation=1).to_bytes()
    for broken in (body[:-3], b"", body.replace(b"generation", b"generatiom")):
        with pytest.raises(InvalidTensors):
            Overlay.from_bytes(broken)


@pytest.mark.parametrize("kind", ["<i8", ">i8", ">i2", "i4", "u1", "u8", "f4", ">f8", "O", "U"])
def test_labels_of_every_dtype_train_alike(small_bundle: Bundle, kind: str) -> None:
    examples = some_examples()
    labels = examples.y.astype(kind) if kind != "O" else np.array(examples.y.tolist(), object)
    checked = check(replace(examples, y=labels), small_bundle.manifest)
    assert (checked.y.dtype, checked.y.dtype.isnative) == (np.int64, True)
    assert checked.y.tolist() == examples.y.tolist()
    assert checked.fingerprint == examples.fingerprint


@pytest.mark.parametrize(
    ("values", "dtype", "exact"),
    [
        (np.array([1.5, -2], ">f4"), "float32", True),
        (np.array([1.5, -2]), "float32", True),
        (np.array([0.1]), "float32", False),
        (np.array([1e39]), "float32", False),
        (np.array([1.5], np.float16), "float32", True),
        (np.array([0, 255]), "uint8", True),
        (np.array([0, 256]), "uint8", False),
        (np.array([-1]), "uint8", False),
        (np.array([1.0]), "uint8", False),  # of pixels in 0..1 or in 0..255?
        (np.array([True]), "uint8", False),
        (np.array([7], ">i4"), "int64", True),
        (np.array([2**63], np.uint64), "int64", False),
        (np.array([2**24]), "float32", True),
        (np.array([2**24 + 1]), "float32", False),
    ],
)
def test_what_converts_exactly_is_converted_and_nothing_else(values: Array, dtype: str, exact: bool) -> None:
    converted = dtypes.exactly(values, dtype)
    assert (converted is not None) == exact
    if converted is not None:
        assert converted.dtype == np.dtype(dtype)
        assert converted.tolist() == values.tolist()


@given(labels=st.lists(st.one_of(st.integers(-2, 12).map(str), st.floats(-1, 12).map(repr), st.text(max_size=3)),
                       min_size=1, max_size=6), names=st.sampled_from([(), ("b", "a"), ("3", "5", "1")]))  # fmt: skip
def test_a_label_is_a_declared_name_or_an_exact_number_or_refused(labels: list[str], names: tuple[str, ...]) -> None:
    count = len(names) or 10

    def exact(label: str) -> int | None:
        if label in names:
            return names.index(label)
        try:
            number = Fraction(label)
        except (ValueError, ZeroDivisionError):
            return None
        if "3" in names:
            return next((place for place, name in enumerate(names) if Fraction(name) == number), None)
        return int(number) if number.denominator == 1 and 0 <= number < count else None

    try:
        read = [*classes.numbers(labels, names, count).tolist()]
    except InvalidData:
        refused = [label for label in labels if exact(label) is None or not plain_number(label)]
        assert [label for label in refused if label not in names]
    else:
        assert read == [exact(label) for label in labels]


def plain_number(label: str) -> bool:
    """Whether a label is written as whole numbers are: no sign, no exponent, no underscore, no space."""
    return re.fullmatch(r"\d+(\.0*)?", label) is not None


def test_equal_samples_with_different_labels_are_found() -> None:
    x = np.array([[1], [2], [1], [1], [3], [2]], np.uint8)
    found = Examples({"x": x}, np.array([0, 1, 0, 2, 0, 1]))
    assert found.contradicting == [[0, 2, 3]]
    assert contradictions.named(found.contradicting, found.named) == "sample 0 = sample 2 = sample 3"
    assert Examples({"x": x}, np.array([0, 1, 0, 0, 0, 1])).contradicting == []


def test_five_of_them_are_named_and_the_others_counted() -> None:
    x = np.array([[1], [2], [1], [2], [1], [2], [1], [3], [3]], np.uint8)
    found = Examples({"x": x}, np.arange(9), names=[f"row {row}" for row in range(9)])
    named = contradictions.named(found.contradicting, found.named)
    assert named == "row 0 = row 2 = row 4 = row 6; and 5 more"
    assert contradictions.named([], found.named) == ""


@given(rows=st.lists(st.integers(0, 3), min_size=1, max_size=20), front=st.lists(st.integers(4, 9), max_size=5))
def test_a_key_is_of_values_and_not_of_rows(rows: list[int], front: list[int]) -> None:
    def keys(values: list[int]) -> list[int]:
        return Examples({"x": np.array(values, np.uint8)[:, None]}, np.zeros(len(values), np.int64)).keys.tolist()

    assert keys(front + rows)[len(front) :] == keys(rows)
    assert len(set(keys(rows))) == len(rows)
    assert set(keys(rows[::-1])) == set(keys(rows))


def test_the_fingerprint_notices_any_change() -> None:
    examples = some_examples()
    pixels, labels = examples.x["x"].copy(), examples.y.copy()
    pixels[3, 0, 0, 0] ^= 1
    labels[0] = 2
    changed = [Examples({"x": pixels}, examples.y), Examples(examples.x, labels), examples.take(np.arange(22))]
    assert some_examples().fingerprint == examples.fingerprint
    assert len({examples.fingerprint, *(other.fingerprint for other in changed)}) == 4
