"""The ExecuTorch engine on a real bundle: golden steps, states that don't mix, batch limits, and what it refuses."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fedrela.core import bundle, golden, tensors
from fedrela.core.bundle import PROGRAMS
from fedrela.core.errors import InvalidBundle, InvalidData, InvalidTask
from fedrela.edge.engines.engine import Batch
from fedrela.edge.engines.executorch_engine import ExecutorchEngine, version
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import self_test
from fedrela.export.classifier import export_classifier


class Net(torch.nn.Module):
    """Two convolutions with the layer that ExecuTorch's own recipe gets wrong."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(4, 6, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
        )
        self.head = torch.nn.Linear(24, 5)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("et") / "bundle"
    options = {"input": "uint8:1x8x8", "classes": 5, "out": folder, "augment": "crop,flip", "max_batch": 16}
    export_classifier(Net(), runtimes=("onnx", "executorch"), **options)
    return bundle.read(folder)


def programs(opened, runtime):
    files = {name: getattr(opened.manifest, name).file(runtime) for name in PROGRAMS}
    return {name: (opened.folder / file.path).read_bytes() for name, file in files.items()}


@pytest.fixture(scope="module")
def engine(opened):
    return ExecutorchEngine(opened.manifest, programs(opened, "executorch"))


def batch(engine, size, seed=0):
    generator = np.random.default_rng(seed)
    randoms = {
        item.name: generator.random([size if d == "B" else d for d in item.shape], dtype=np.float32)
        for item in engine.manifest.train_step.role("random")
    }
    return Batch(
        x={"x": generator.integers(0, 256, (size, 1, 8, 8)).astype(np.uint8)},
        y=generator.integers(0, 5, size),
        weight=np.ones(size, np.float32),
        hyperparameters={"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
        randoms=randoms,
    )


def test_golden_steps_are_followed(opened, engine):
    self_test(engine, (opened.folder / opened.manifest.golden.path).read_bytes())


def test_both_runtimes_train_alike_on_batches_of_any_size(opened, engine):
    onnx = OnnxEngine(opened.manifest, programs(opened, "onnx"))
    states = engine.start(opened.weights), onnx.start(opened.weights)
    for seed, size in enumerate((16, 1, 3, 7)):
        ours = engine.train_step(states[0], batch(engine, size, seed))
        theirs = onnx.train_step(states[1], batch(engine, size, seed))
        assert ours.loss_sum == pytest.approx(theirs.loss_sum, rel=1e-4)
        assert (ours.correct_sum, ours.weight_sum) == (theirs.correct_sum, theirs.weight_sum)
    trained, other = engine.weights(states[0]), onnx.weights(states[1])
    for name, value in trained.items():
        assert golden.relative_error(other[name], value, opened.weights[name]) < 1e-4
    step = batch(engine, 40)
    p_ours = engine.predict(trained, step.x, step.randoms)
    assert p_ours.shape == (40, 5)
    assert np.allclose(p_ours, onnx.predict(trained, step.x, step.randoms), atol=1e-5)


def test_states_do_not_touch_each_other_and_restore_bit_for_bit(opened, engine):
    first, second = engine.start(opened.weights), engine.start(opened.weights)
    engine.train_step(first, batch(engine, 4, 1))
    saved, copy = engine.snapshot(first), engine.weights(first)
    engine.train_step(second, batch(engine, 4, 2))
    engine.train_step(first, batch(engine, 4, 3))
    assert all(np.array_equal(saved[name], value) for name, value in copy.items())
    again = engine.restore(opened.weights, saved)
    engine.train_step(again, batch(engine, 4, 3))
    for name, value in engine.weights(first).items():
        assert value.tobytes() == engine.weights(again)[name].tobytes()
    assert tensors.l2_norm(tensors.subtract(engine.weights(first), engine.weights(second))) > 0


def test_padding_counts_nowhere(opened, engine):
    whole = batch(engine, 6)
    padded = batch(engine, 9, seed=5)
    for mine, source in ((padded.x, whole.x), (padded.randoms, whole.randoms)):
        for name in mine:
            mine[name][:6] = source[name]
    padded.y[:6], padded.weight[6:] = whole.y, 0
    states = engine.start(opened.weights), engine.start(opened.weights)
    a, b = engine.train_step(states[0], whole), engine.train_step(states[1], padded)
    assert (a.correct_sum, a.weight_sum) == (b.correct_sum, b.weight_sum)
    for name, value in engine.weights(states[0]).items():
        assert np.allclose(value, engine.weights(states[1])[name], atol=1e-6)


def test_relabels_as_the_specification_does(engine):
    from fedrela.core.relabel import relabel

    generator = np.random.default_rng(3)
    probabilities = generator.dirichlet(np.ones(5), 300).astype(np.float32)
    labels = np.minimum(generator.integers(0, 5, 300), generator.integers(0, 5, 300))
    uniforms = generator.random((300, 5), dtype=np.float32)
    expected = relabel(probabilities, labels, uniforms, threshold_percent=20).labels
    assert (expected != labels).any()
    assert np.mean(engine.relabel(probabilities, labels, uniforms, 20) != expected) <= 0.001


def test_refuses_more_than_was_planned_for_and_says_what_to_do(opened, engine):
    with pytest.raises(InvalidTask, match=r"at most 16; set local\.batch_size"):
        engine.train_step(engine.start(opened.weights), batch(engine, 17))
    limit = opened.manifest.relabel.file("executorch").max_batch
    many = np.full((limit + 1, 5), 0.2, np.float32)
    with pytest.raises(InvalidData, match="ONNX runtime"):
        engine.relabel(many, np.zeros(limit + 1, np.int64), many, 5)


def test_damaged_program_is_refused(opened):
    with pytest.raises(InvalidBundle, match="program train_step holds another format's mark"):
        ExecutorchEngine(opened.manifest, dict.fromkeys(PROGRAMS, b"not a program"))


def test_a_device_opens_the_runtime_without_its_compiler():
    script = (
        "import sys\nfrom fedrela.edge.engines import executorch_engine\nexecutorch_engine.import_runtime(1)\n"
        "assert 'torch' in sys.modules and 'executorch.exir' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_version_is_that_of_the_package():
    assert version().startswith("1.")
