"""Examples are checked before anything is trained; overlays never touch the originals and stand growth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidData, InvalidTensors
from fedrela.edge.training.examples import Examples, Overlay, check
from tests.edge.conftest import some_examples

PIXELS = np.zeros((2, 1, 4, 4), np.uint8)


def test_good_examples_pass(small_bundle: Bundle) -> None:
    check(some_examples(), small_bundle.manifest)
    check(some_examples(1), small_bundle.manifest)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        (Examples({"x": PIXELS[:0]}, np.empty(0, np.int64)), "there is no example"),
        (Examples({"x": PIXELS}, np.array([0, 3])), r"a label is outside 0\.\.2"),
        (Examples({"x": PIXELS}, np.array([-1, 0])), r"a label is outside 0\.\.2"),
        (Examples({"x": PIXELS}, np.array([0.0, 1.0])), "whole numbers"),
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
    from dataclasses import replace

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


def test_the_fingerprint_notices_any_change() -> None:
    examples = some_examples()
    pixels, labels = examples.x["x"].copy(), examples.y.copy()
    pixels[3, 0, 0, 0] ^= 1
    labels[0] = 2
    changed = [Examples({"x": pixels}, examples.y), Examples(examples.x, labels), examples.take(np.arange(22))]
    assert some_examples().fingerprint == examples.fingerprint
    assert len({examples.fingerprint, *(other.fingerprint for other in changed)}) == 4
