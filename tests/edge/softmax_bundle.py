"""A bundle small enough to check by hand: softmax regression with momentum.

`numpy_step` is the same step in numpy: an independent oracle for the engine, the local round and the whole client.
Nothing here uses the exporter.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import bundle, golden, signing, tensors
from fedrela.core import relabel as reference
from fedrela.core.bundle import Golden, Manifest, Program, ProgramFile, ProgramInput
from fedrela.core.protocol.programs import TOTALS
from fedrela.core.tensors import Array, Params
from tests.edge.softmax_programs import CLASSES, NOISE, PIXELS, PREDICT, RELABEL, SIDE, TRAIN, program


def start_weights(seed: int = 0) -> Params:
    """Small random weights."""
    rng = np.random.default_rng(seed)
    return {
        "w": rng.normal(0, 0.1, (PIXELS, CLASSES)).astype(np.float32),
        "b": rng.normal(0, 0.1, CLASSES).astype(np.float32),
    }


def write(folder: Path, *, private_key: str = PUBLISHER_KEY, seed: int = 0, name: str = "softmax") -> bundle.Bundle:
    """Write the bundle with golden outputs computed by numpy; the verified bundle as a device would read it."""
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, tuple[ProgramFile, ...]] = {}
    for which, text in (("train_step", TRAIN), ("predict", PREDICT), ("relabel", RELABEL)):
        body = program(text)
        (folder / f"{which}.onnx").write_bytes(body)
        files[which] = (ProgramFile("onnx", f"{which}.onnx", signing.sha256(body), len(body), "1.17.0"),)
    unsealed = replace(_manifest(files, Golden("golden.safetensors", "", 0)), name=name)
    recorded = tensors.to_bytes(golden.run(unsealed, _golden_step, _golden_predict, _golden_relabel))
    (folder / "golden.safetensors").write_bytes(recorded)
    manifest = replace(unsealed, golden=Golden("golden.safetensors", signing.sha256(recorded), len(recorded)))
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
        outputs=("new.w", "new.b", "new.momentum.w", "new.momentum.b", *TOTALS),
        files=files["train_step"],
    )
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
