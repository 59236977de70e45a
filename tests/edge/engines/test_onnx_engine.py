"""The ONNX engine against softmax regression written in numpy."""

import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest

from fedrela.core import relabel as reference
from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidBundle, InvalidTask, MissingDependency, VerificationFailed
from fedrela.edge.engines.engine import Batch, UnloadableProgram
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.onnx_state import OnnxState
from fedrela.edge.engines.pool import EnginePool, choose, self_test
from tests.edge import softmax_bundle as small

RATES = {"lr": 0.4, "momentum": 0.9}


def batch(size: int, seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(
        x={"x": rng.integers(0, 256, (size, 1, small.SIDE, small.SIDE), dtype=np.uint8)},
        y=rng.integers(0, small.CLASSES, size),
        weight=np.where(np.arange(size) == 1, 0, 1).astype(np.float32),
        hyperparameters=RATES,
        randoms={"noise": rng.random((size, small.PIXELS), np.float32)},
    )


def numpy_state(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return dict(weights) | {f"momentum.{name}": np.zeros_like(array) for name, array in weights.items()}


def test_steps_equal_numpy_with_batches_of_any_size(engine: OnnxEngine) -> None:
    weights = small.start_weights()
    state, expected = engine.start(weights), numpy_state(weights)
    for number, size in enumerate((8, 3, 1, 16)):
        fed = batch(size, number)
        if size == 1:
            fed = Batch(fed.x, fed.y, np.ones(1, np.float32), fed.hyperparameters, fed.randoms)
        totals = engine.train_step(state, fed)
        expected, loss, correct = small.numpy_step(
            expected, fed.x["x"], fed.y, fed.weight, fed.randoms["noise"], **RATES
        )
        assert totals.loss_sum == pytest.approx(loss, rel=1e-5)
        assert (totals.correct_sum, totals.weight_sum) == (correct, fed.weight.sum())
    for name, array in engine.snapshot(state).items():
        np.testing.assert_allclose(array, expected[name], rtol=2e-5, atol=1e-6)


def test_state_is_held_once_and_two_states_share_none_of_it(engine: OnnxEngine) -> None:
    one, other = engine.start(small.start_weights()), engine.start(small.start_weights())
    for name, array in one.buffers[0].items():
        assert np.shares_memory(array, one.buffers[1][name])
        assert not np.shares_memory(array, other.buffers[0][name])
    engine.train_step(one, batch(4, 0))
    for name, array in engine.weights(other).items():
        np.testing.assert_array_equal(array, small.start_weights()[name])


def test_state_that_is_read_after_its_new_value_is_written_is_held_twice(small_bundle: Bundle) -> None:
    """Here the new bias reads the old weight, and nothing keeps a runtime from writing the new weight first."""
    late = small.TRAIN.replace(
        "new__b = Sub (b, move_b)",
        "read = ReduceSum <keepdims = 0> (w, first)\n late = Mul (read, noughts)\n kept = Add (b, late)\n"
        "new__b = Sub (kept, move_b)",
    ).replace("off_on = Constant", "noughts = Constant <value_float = 0.0> ()\n off_on = Constant", 1)
    assert late.count("late") == 2
    engine = OnnxEngine(small_bundle.manifest, {"train_step": small.program(late)})
    state, usual = (
        engine.start(small.start_weights()),
        OnnxEngine(small_bundle.manifest, {"train_step": small.program(small.TRAIN)}),
    )
    apart = {name for name, array in state.buffers[0].items() if not np.shares_memory(array, state.buffers[1][name])}
    assert apart == {"w"}
    expected = usual.start(small.start_weights())
    for number in range(3):
        engine.train_step(state, batch(4, number))
        usual.train_step(expected, batch(4, number))
    for name, array in usual.snapshot(expected).items():
        np.testing.assert_array_equal(engine.snapshot(state)[name], array)


def test_a_state_in_the_memory_of_one_that_is_gone_is_like_a_new_one(engine: OnnxEngine) -> None:
    weights = small.start_weights()

    def trained(state: OnnxState, rate: float = 0.05) -> dict[str, np.ndarray]:
        fed = batch(5, 1)
        engine.train_step(state, replace(fed, hyperparameters=dict.fromkeys(fed.hyperparameters, rate)))
        return engine.snapshot(state)

    first, living = engine.start(weights), engine.start(weights)
    memory, expected = {array.ctypes.data for array in first.newest.values()}, trained(first)
    trained(first, 0.5)
    del first
    second = engine.start(weights)
    assert {array.ctypes.data for array in second.newest.values()} == memory
    for name, array in trained(second).items():
        np.testing.assert_array_equal(array, expected[name])
    third = engine.start(weights)
    states = [{array.ctypes.data for array in state.newest.values()} for state in (living, second, third)]
    assert not states[0] & states[1] | states[0] & states[2] | states[1] & states[2]


def test_a_rate_that_changes_takes_effect_at_once(engine: OnnxEngine) -> None:
    state = engine.start(small.start_weights())
    for number, rate in enumerate((0.0, 0.5, 0.0, 0.0)):
        fed = batch(4, number)
        rates = dict.fromkeys(fed.hyperparameters, 0.0) | {"lr": rate}
        before = engine.weights(state)
        engine.train_step(state, Batch(fed.x, fed.y, fed.weight, rates, fed.randoms))
        moved = any((array != before[name]).any() for name, array in engine.weights(state).items())
        assert moved == (rate > 0)


def test_starting_copies_the_weights(engine: OnnxEngine) -> None:
    weights = small.start_weights()
    before = {name: array.copy() for name, array in weights.items()}
    state = engine.start(weights)
    for number in range(3):
        engine.train_step(state, batch(4, number))
    copied = engine.weights(state)
    engine.train_step(state, batch(4, 9))
    for name in weights:
        np.testing.assert_array_equal(weights[name], before[name])
        assert not np.array_equal(copied[name], engine.weights(state)[name])


@pytest.mark.parametrize("steps_before", [0, 1, 2, 5])
def test_a_restored_state_goes_on_bit_by_bit(engine: OnnxEngine, steps_before: int) -> None:
    weights = small.start_weights()
    state = engine.start(weights)
    for number in range(steps_before):
        engine.train_step(state, batch(5, number))
    restored = engine.restore(weights, engine.snapshot(state))
    for number in range(4):
        assert engine.train_step(state, batch(5, 100 + number)) == engine.train_step(restored, batch(5, 100 + number))
    for name, array in engine.snapshot(state).items():
        np.testing.assert_array_equal(array, engine.snapshot(restored)[name])


def test_states_in_many_threads_do_not_touch_each_other(engine: OnnxEngine) -> None:
    def train(seed: int) -> dict[str, np.ndarray]:
        state = engine.start(small.start_weights(seed))
        for number in range(30):
            engine.train_step(state, batch(6, seed * 1000 + number))
        return engine.weights(state)

    alone = [train(seed) for seed in range(4)]
    together: dict[int, dict[str, np.ndarray]] = {}
    threads = [threading.Thread(target=lambda s=seed: together.__setitem__(s, train(s))) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, weights in enumerate(alone):
        for name, array in weights.items():
            np.testing.assert_array_equal(array, together[seed][name])


def test_predict_equals_numpy_and_follows_new_weights(engine: OnnxEngine) -> None:
    for seed in (1, 2):
        weights, fed = small.start_weights(seed), batch(7, seed)
        for _ in range(2):
            got = engine.predict(weights, fed.x, fed.randoms)
            want = small.numpy_predict(weights, fed.x["x"], fed.randoms["noise"])
            np.testing.assert_allclose(got, want, rtol=1e-5)


def test_relabel_equals_the_specification(engine: OnnxEngine) -> None:
    rng = np.random.default_rng(3)
    for count in (1, 2, 40, 300):
        q = rng.dirichlet([0.5] * 3, count).astype(np.float32)
        labels = np.minimum(rng.geometric(0.6, count) - 1, 2)
        uniforms = rng.random((count, 3), np.float32)
        want = reference.relabel(q, labels, uniforms, threshold_percent=20).labels
        assert (engine.relabel(q, labels, uniforms, 20.0) != want).mean() <= 0.001


def test_a_missing_hyperparameter_is_named(engine: OnnxEngine) -> None:
    fed = batch(2, 0)
    with pytest.raises(InvalidTask, match=r"'momentum'.*local\.hyperparameters\.momentum"):
        engine.train_step(engine.start(small.start_weights()), Batch(fed.x, fed.y, fed.weight, {"lr": 1}, fed.randoms))


def test_a_program_that_the_runtime_can_not_load_is_refused(small_bundle: Bundle) -> None:
    model = onnx.ModelProto.FromString((small_bundle.folder / "train_step.onnx").read_bytes())
    model.graph.node[-1].input[0] = "nothing"
    broken = OnnxEngine(small_bundle.manifest, {"train_step": model.SerializeToString()})
    with pytest.raises(UnloadableProgram, match="can't load program train_step"):
        broken.start(small.start_weights())


def test_a_program_that_fails_at_run_time_is_a_clear_error(engine: OnnxEngine) -> None:
    fed = batch(4, 0)
    torn = Batch(fed.x, fed.y[:3], fed.weight, fed.hyperparameters, fed.randoms)
    with pytest.raises(InvalidBundle, match="failed on onnxruntime"):
        engine.train_step(engine.start(small.start_weights()), torn)


def test_the_self_test_passes_here_and_notices_another_program(small_bundle: Bundle, engine: OnnxEngine) -> None:
    expected = (small_bundle.folder / "golden.safetensors").read_bytes()
    self_test(engine, expected)
    bodies = {name: (small_bundle.folder / f"{name}.onnx").read_bytes() for name in ("predict", "relabel")}
    wrong = small.program(small.TRAIN.replace("Sub (w, move_w)", "Add (w, move_w)"))
    with pytest.raises(VerificationFailed, match="golden output train_step"):
        self_test(OnnxEngine(small_bundle.manifest, bodies | {"train_step": wrong}), expected)


def test_one_engine_is_opened_however_many_ask(small_bundle: Bundle) -> None:
    pool, reads = EnginePool(), []

    def read(file) -> bytes:
        reads.append(file.path)
        return (small_bundle.folder / file.path).read_bytes()

    assert pool.open("a" * 64, small_bundle.manifest, read) is pool.open("a" * 64, small_bundle.manifest, read)
    assert sorted(reads) == ["predict.onnx", "relabel.onnx", "train_step.onnx"]


def test_the_runtime_has_as_many_threads_as_were_asked_for(small_bundle: Bundle) -> None:
    pool = EnginePool(threads=2)
    opened = pool.open("a" * 64, small_bundle.manifest, lambda file: (small_bundle.folder / file.path).read_bytes())
    assert isinstance(opened, OnnxEngine)
    assert opened._session("train_step").get_session_options().intra_op_num_threads == 2


def test_a_runtime_that_is_not_there_or_too_old_is_named(small_bundle: Bundle) -> None:
    with pytest.raises(MissingDependency, match="no executorch programs"):
        choose(small_bundle.manifest, ("executorch",))
