"""A bundle small enough to check by hand: softmax regression with momentum, its gradient written out as ONNX text.

`numpy_step` is the same step in numpy: an independent oracle for the engine, the local round and the whole client.
Nothing here uses the exporter.
"""

from pathlib import Path

import numpy as np
import onnx
import onnx.parser

from fedrela.core import bundle, golden, signing, tensors
from fedrela.core import relabel as reference
from fedrela.core.bundle import Golden, Manifest, Program, ProgramFile, ProgramInput
from fedrela.core.tensors import Array, Params

CLASSES = 3
SIDE = 4
PIXELS = SIDE * SIDE
NOISE = 0.1

_LOGITS = f"""
   flat = Constant <value_ints = [-1, {PIXELS}]> ()
   scale = Constant <value_float = 255.0> ()
   strength = Constant <value_float = {NOISE}> ()
   raw = Cast <to = 1> (x)
   rows = Reshape (raw, flat)
   pixels = Div (rows, scale)
   jitter = Mul (noise, strength)
   inputs = Add (pixels, jitter)
   product = MatMul (inputs, w)
   logits = Add (product, b)
"""

_TRAIN = f"""
<ir_version: 9, opset_import: ["" : 20]>
train_step (float[{PIXELS}, {CLASSES}] w, float[{CLASSES}] b, float[{PIXELS}, {CLASSES}] momentum__w,
            float[{CLASSES}] momentum__b, uint8[B, 1, {SIDE}, {SIDE}] x, int64[B] y, float[B] weight, float lr,
            float momentum, float[B, {PIXELS}] noise)
  => (float[{PIXELS}, {CLASSES}] new__w, float[{CLASSES}] new__b, float[{PIXELS}, {CLASSES}] new__momentum__w,
      float[{CLASSES}] new__momentum__b, float loss_sum, float correct_sum, float weight_sum) {{
   {_LOGITS}
   depth = Constant <value_int = {CLASSES}> ()
   off_on = Constant <value_floats = [0.0, 1.0]> ()
   first = Constant <value_ints = [0]> ()
   last = Constant <value_ints = [1]> ()
   truth = OneHot <axis = -1> (y, depth, off_on)
   logp = LogSoftmax <axis = 1> (logits)
   p = Softmax <axis = 1> (logits)
   picked = Mul (logp, truth)
   likelihood = ReduceSum <keepdims = 0> (picked, last)
   losses = Neg (likelihood)
   weighted = Mul (losses, weight)
   loss_sum = ReduceSum <keepdims = 0> (weighted)
   weight_sum = ReduceSum <keepdims = 0> (weight)
   guess = ArgMax <axis = 1, keepdims = 0> (logits)
   right = Equal (guess, y)
   hit = Cast <to = 1> (right)
   hits = Mul (hit, weight)
   correct_sum = ReduceSum <keepdims = 0> (hits)
   gap = Sub (p, truth)
   column = Unsqueeze (weight, last)
   shares = Div (column, weight_sum)
   slope = Mul (gap, shares)
   across = Transpose <perm = [1, 0]> (inputs)
   grad_w = MatMul (across, slope)
   grad_b = ReduceSum <keepdims = 0> (slope, first)
   kept_w = Mul (momentum__w, momentum)
   kept_b = Mul (momentum__b, momentum)
   new__momentum__w = Add (kept_w, grad_w)
   new__momentum__b = Add (kept_b, grad_b)
   move_w = Mul (new__momentum__w, lr)
   move_b = Mul (new__momentum__b, lr)
   new__w = Sub (w, move_w)
   new__b = Sub (b, move_b)
}}
"""

_PREDICT = f"""
<ir_version: 9, opset_import: ["" : 20]>
predict (float[{PIXELS}, {CLASSES}] w, float[{CLASSES}] b, uint8[B, 1, {SIDE}, {SIDE}] x, float[B, {PIXELS}] noise)
  => (float[B, {CLASSES}] probabilities) {{
   {_LOGITS}
   probabilities = Softmax <axis = 1> (logits)
}}
"""

_RELABEL = f"""
<ir_version: 9, opset_import: ["" : 20]>
relabel (float[N, {CLASSES}] q, int64[N] labels, float[N, {CLASSES}] u, float tau)
  => (int64[N] new_labels, float[N] flip_rate) {{
   depth = Constant <value_int = {CLASSES}> ()
   off_on = Constant <value_floats = [0.0, 1.0]> ()
   first = Constant <value_ints = [0]> ()
   last = Constant <value_ints = [1]> ()
   zero = Constant <value_float = 0.0> ()
   one = Constant <value_float = 1.0> ()
   minus = Constant <value_float = -1.0> ()
   tiny = Constant <value_float = 0.000001> ()
   hundred = Constant <value_float = 100.0> ()
   truth = OneHot <axis = -1> (labels, depth, off_on)
   counts = ReduceSum <keepdims = 0> (truth, first)
   least = ReduceMin <keepdims = 0> (counts)
   most = ReduceMax <keepdims = 0> (counts)
   spread = Sub (most, least)
   safe_spread = Max (spread, one)
   above = Sub (counts, least)
   share = Div (above, safe_spread)
   prior = Sub (one, share)
   safe_counts = Max (counts, one)
   tall = Unsqueeze (safe_counts, last)
   members = Transpose <perm = [1, 0]> (truth)
   sums = MatMul (members, q)
   mean = Div (sums, tall)
   own_mean = MatMul (truth, mean)
   away = Sub (q, own_mean)
   square = Mul (away, away)
   square_sums = MatMul (members, square)
   variance = Div (square_sums, tall)
   deviation = Sqrt (variance)
   std = Max (deviation, tiny)
   own_std = MatMul (truth, std)
   z = Div (away, own_std)
   shape = Shape (labels)
   n = Cast <to = 1> (shape)
   surplus_of = Mul (n, tau)
   surplus_share = Div (surplus_of, hundred)
   surplus = Floor (surplus_share)
   top = Sub (n, one)
   bounded = Min (surplus, top)
   m = Max (bounded, zero)
   k_float = Add (m, one)
   k = Cast <to = 7> (k_float)
   best, at = TopK <axis = 0> (z, k)
   end = Sub (k, one_int)
   threshold = Gather <axis = 0> (best, end)
   beyond = Sub (z, threshold)
   unusual = Tanh (beyond)
   own_prior_of = Mul (truth, prior)
   own_prior = ReduceSum <keepdims = 1> (own_prior_of, last)
   rarer = Sub (prior, own_prior)
   gain = Max (rarer, zero)
   rho = Mul (unusual, gain)
   flips = Greater (rho, u)
   candidates = Where (flips, rho, minus)
   chosen = ArgMax <axis = 1, keepdims = 0> (candidates)
   strength = ReduceMax <keepdims = 0> (candidates, last)
   any = GreaterOrEqual (strength, zero)
   new_labels = Where (any, chosen, labels)
   flip_rate = Max (strength, zero)
}}
""".replace("one_int)", "one_integer)").replace("   end =", "   one_integer = Constant <value_ints = [1]> ()\n   end =")


def program(text: str) -> bytes:
    """The model of a text; "__" in a name stands for a dot, which the text form doesn't allow."""
    model = onnx.parser.parse_model(text)
    for node in model.graph.node:
        node.input[:] = [name.replace("__", ".") for name in node.input]
        node.output[:] = [name.replace("__", ".") for name in node.output]
    for value in (*model.graph.input, *model.graph.output):
        value.name = value.name.replace("__", ".")
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def start_weights(seed: int = 0) -> Params:
    """Small random weights."""
    rng = np.random.default_rng(seed)
    return {
        "w": rng.normal(0, 0.1, (PIXELS, CLASSES)).astype(np.float32),
        "b": rng.normal(0, 0.1, CLASSES).astype(np.float32),
    }


def write(folder: Path, *, private_key: str = "", seed: int = 0) -> bundle.Bundle:
    """Write the bundle with golden outputs computed by numpy; the verified bundle as a device would read it."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, text in (("train_step", _TRAIN), ("predict", _PREDICT), ("relabel", _RELABEL)):
        body = program(text)
        (folder / f"{name}.onnx").write_bytes(body)
        files[name] = (ProgramFile("onnx", f"{name}.onnx", signing.sha256(body), len(body), "1.17.0"),)
    unsealed = _manifest(files, Golden("golden.safetensors", "", 0))
    recorded = tensors.to_bytes(golden.run(unsealed, _golden_step, _golden_predict, _golden_relabel))
    (folder / "golden.safetensors").write_bytes(recorded)
    manifest = _manifest(files, Golden("golden.safetensors", signing.sha256(recorded), len(recorded)))
    bundle.write(folder, manifest, start_weights(seed), private_key=private_key)
    return bundle.read(folder)


def numpy_step(
    state: dict[str, Array], x: Array, y: Array, weight: Array, noise: Array, *, lr: float, momentum: float
) -> tuple[dict[str, Array], float, float]:
    """One step in float64: the new state, the sum of weighted losses, the weighted correct count."""
    inputs = x.reshape(len(y), -1) / 255.0 + NOISE * noise.astype(np.float64)
    logits = inputs @ state["w"].astype(np.float64) + state["b"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    truth = np.eye(CLASSES)[y]
    slope = (p - truth) * (weight / weight.sum())[:, None]
    new = {
        "momentum.w": momentum * state["momentum.w"] + inputs.T @ slope,
        "momentum.b": momentum * state["momentum.b"] + slope.sum(axis=0),
    }
    new["w"] = state["w"] - lr * new["momentum.w"]
    new["b"] = state["b"] - lr * new["momentum.b"]
    loss = float(-(weight * np.log(p[np.arange(len(y)), y])).sum())
    return new, loss, float((weight * (logits.argmax(axis=1) == y)).sum())


def numpy_predict(weights: Params, x: Array, noise: Array) -> Array:
    """Probabilities (B, C) in float64."""
    logits = (x.reshape(len(x), -1) / 255.0 + NOISE * noise) @ weights["w"].astype(np.float64) + weights["b"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _manifest(files: dict[str, tuple[ProgramFile, ...]], recorded: Golden) -> Manifest:
    weights = (
        ProgramInput("w", "parameter", (PIXELS, CLASSES)),
        ProgramInput("b", "parameter", (CLASSES,)),
    )
    x = ProgramInput("x", "x", ("B", 1, SIDE, SIDE), "uint8")
    noise = ProgramInput("noise", "random", ("B", PIXELS))
    train_step = Program(
        inputs=(
            *weights,
            ProgramInput("momentum.w", "optimizer", (PIXELS, CLASSES)),
            ProgramInput("momentum.b", "optimizer", (CLASSES,)),
            x,
            ProgramInput("y", "y", ("B",), "int64"),
            ProgramInput("weight", "weight", ("B",)),
            ProgramInput("lr", "hyperparameter", ()),
            ProgramInput("momentum", "hyperparameter", ()),
            noise,
        ),
        outputs=(
            "new.w", "new.b", "new.momentum.w", "new.momentum.b", "loss_sum", "correct_sum", "weight_sum",
        ),
        files=files["train_step"],
    )  # fmt: skip
    relabel = Program(
        inputs=(
            ProgramInput("q", "probabilities", ("N", CLASSES)),
            ProgramInput("labels", "labels", ("N",), "int64"),
            ProgramInput("u", "uniforms", ("N", CLASSES)),
            ProgramInput("tau", "threshold_percent", ()),
        ),
        outputs=("new_labels", "flip_rate"),
        files=files["relabel"],
    )
    predict = Program(inputs=(*weights, x, noise), outputs=("probabilities",), files=files["predict"])
    return Manifest(
        "softmax",
        CLASSES,
        train_step,
        predict,
        relabel,
        recorded,
        hyperparameters={"lr": 0.5, "momentum": 0.5},
        preprocessing=bundle.Preprocessing("image", resize=True, grayscale=True),
    )


def _golden_step(fed: dict[str, Array]) -> dict[str, Array]:
    state = {name: fed[name] for name in ("w", "b", "momentum.w", "momentum.b")}
    rates = {"lr": float(fed["lr"]), "momentum": float(fed["momentum"])}
    new, loss, correct = numpy_step(state, fed["x"], fed["y"], fed["weight"], fed["noise"], **rates)
    outputs = {f"new.{name}": new[name] for name in state}
    outputs |= {"loss_sum": np.array(loss), "correct_sum": np.array(correct), "weight_sum": fed["weight"].sum()}
    return {name: np.asarray(value, np.float32) for name, value in outputs.items()}


def _golden_predict(fed: dict[str, Array]) -> dict[str, Array]:
    weights = {name: fed[name] for name in ("w", "b")}
    return {"probabilities": numpy_predict(weights, fed["x"], fed["noise"]).astype(np.float32)}


def _golden_relabel(fed: dict[str, Array]) -> dict[str, Array]:
    got = reference.relabel(fed["q"], fed["labels"], fed["u"], threshold_percent=float(fed["tau"]))
    return {"new_labels": got.labels, "flip_rate": got.flip_rate.astype(np.float32)}
