"""The re-label graph against the numpy specification and the authors' vectors, eagerly and as an ONNX program."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core import relabel as specification
from fedrela.export import lowering
from fedrela.export.onnx_programs import program as onnx_program
from fedrela.export.onnx_programs import translation
from fedrela.export.program import _relabel
from fedrela.export.relabel import relabel
from fedrela.export.tracing.trace import trace

VECTORS = sorted((Path(__file__).parents[1] / "core" / "vectors").glob("fedrela_*.npz"))


def lowered(classes):
    definition = _relabel(classes)
    shapes = [item.shape for item in definition.inputs]
    program = trace(definition.function, lowering.examples(definition), shapes, table=translation.table())
    return onnxruntime.InferenceSession(onnx_program.lower(definition, program))


@pytest.fixture(scope="module")
def session():
    return lowered(10)


def feeds(probabilities, labels, uniforms, threshold_percent):
    return {
        "probabilities": np.asarray(probabilities, np.float32),
        "labels": np.asarray(labels, np.int64),
        "uniforms": np.asarray(uniforms, np.float32),
        "threshold_percent": np.asarray(threshold_percent, np.float32),
    }


def long_tail(seed, n, classes):
    generator = np.random.default_rng(seed)
    labels = np.minimum(generator.geometric(0.4, n) - 1, classes - 1)
    logits = generator.standard_normal((n, classes)) + 3 * np.eye(classes)[labels]
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return q.astype(np.float32), labels, generator.random((n, classes), np.float32)


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_the_authors_vectors(path):
    v = np.load(path)
    given_ = feeds(v["probabilities"], v["labels"], v["uniforms"], v["threshold_percent"])
    labels, _ = relabel(*(torch.from_numpy(array) for array in given_.values()))
    assert (labels.numpy() != v["new_labels"]).mean() <= 0.001


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 7), st.floats(0, 100, width=32))
@settings(max_examples=60, deadline=None)
def test_any_n_and_any_c_equal_the_specification(seed, n, classes, threshold_percent):
    q, labels, uniforms = long_tail(seed, n, classes)
    want = specification.relabel(q, labels, uniforms, threshold_percent=threshold_percent)
    given_ = feeds(q, labels, uniforms, threshold_percent)
    got, rate = relabel(*(torch.from_numpy(array) for array in given_.values()))
    differing = got.numpy() != want.labels
    # In float32 a rate may fall on the other side of its uniform; nothing else may differ.
    near = np.abs(want.flip_rates - uniforms).min(1) < 1e-4
    assert not (differing & ~near).any()
    same = ~differing
    assert np.allclose(rate.numpy()[same], want.flip_rate[same], atol=1e-3)


@pytest.mark.parametrize("n", [1, 2, 37, 3000])
def test_one_program_serves_any_number_of_samples(session, n):
    q, labels, uniforms = long_tail(n, n, 10)
    want = specification.relabel(q, labels, uniforms, threshold_percent=7.0)
    got, rate = session.run(None, feeds(q, labels, uniforms, 7.0))
    assert (got != want.labels).mean() <= 0.001
    assert np.allclose(rate, want.flip_rate, atol=1e-3)
    assert n < 100 or (got != labels).any(), "a long tail of 3000 samples must give re-labels"


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_the_ends_of_the_threshold(session, percent):
    q, labels, uniforms = long_tail(1, 200, 10)
    want = specification.relabel(q, labels, uniforms, threshold_percent=percent)
    assert (session.run(None, feeds(q, labels, uniforms, percent))[0] == want.labels).all()


def test_saturated_probabilities_flip_nothing(session):
    """All samples of a class alike: z is 0, not rounding noise over a tiny deviation."""
    labels = np.repeat([0, 1], [70, 5])
    q = np.where(np.eye(10)[labels] > 0, 0.91, 0.01).astype(np.float32)
    want = specification.relabel(q, labels, np.zeros((75, 10), np.float32), threshold_percent=20.0)
    assert (session.run(None, feeds(q, labels, np.zeros((75, 10)), 20.0))[0] == want.labels).all()
