"""Golden steps: fixed inputs, made from streams, on which every runtime must give the recorded outputs.

An exporter runs them in eager PyTorch and records the outputs; a device runs them once per program and runtime before
it trains. The inputs depend only on the manifest, never on the model's real weights.

Let u be the uniforms of `derive(b"fedrela golden", seed, program, step, name)` for the tensor's shape, with B the
golden batch and N = 4 B. Then, by role (all float32 unless said, evaluated left to right):

    parameter, anchor   two or more dimensions: u * (2 b) - b with b = float32(sqrt(3 / product of shape[1:]));
                        else u + 0.5.      step is 0: they are made once, and carried from step to step
    buffer              u + 0.5            likewise
    optimizer           0                  likewise
    x                   uint8: floor(u * 256); other integers: floor(u * token_limit); floats: u * 2 - 1
    y, labels           floor(u * C);      labels: floor(u * u * C)
    weight              1, but 0 for the last example
    hyperparameter      the manifest's default; lr: 0.05; adam_epsilon: 0.001, lest rounding decide AdamW's step where
                        a gradient is zero but for rounding
    random, uniforms    u;                 uniforms: u * 0.1
    class_prior         (u + 0.1) / sum(u + 0.1)
    probabilities       (u + 0.01) / its row's sum
    threshold_percent   20

Outputs are recorded as `<program>.<step>.<output>`, flattened and, where larger than 512 elements, only the elements
floor(i * size / 512) for i in 0..511. `slack.<recorded name>`, a scalar, is how much further than the tolerance an
output may be off, at most 0.3 relative: rounding decides there on which side of a kink (of a ReLU, say) some unit
lies, and so some of a gradient.

    >>> sample(np.arange(2048, dtype=np.float32))[:3]
    array([0., 4., 8.], dtype=float32)
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from fedrela.core import streams
from fedrela.core.bundle import Manifest, Program, ProgramInput
from fedrela.core.errors import VerificationFailed
from fedrela.core.protocol.programs import CARRIED, Role
from fedrela.core.tensors import Array

SAMPLE = 512
_BLOCK = 1 << 16
HYPERPARAMETERS = {"lr": 0.05, "adam_epsilon": 1e-3}
THRESHOLD_PERCENT = 20.0
SLACK = "slack."
LARGEST_SLACK = 0.3  # relative: what is further off than this says nothing, whatever a golden file allows

Run = Callable[[dict[str, Array]], Mapping[str, Array]]
Given = Mapping[tuple[str, int], dict[str, Array]]


def inputs(manifest: Manifest, program: str, step: int, *, without: Collection[str] = ()) -> dict[str, Array]:
    """The inputs of one golden step, by name, but those of some roles. After the first step the carried state is to be
    replaced.
    """
    definition: Program = getattr(manifest, program)
    return {item.name: _make(manifest, program, step, item) for item in definition.inputs if item.role not in without}


def sample(array: Array) -> Array:
    """The recorded elements of an output, shape (at most 512,)."""
    flat = np.asarray(array).reshape(-1)
    if flat.size <= SAMPLE:
        return flat
    return flat[np.arange(SAMPLE, dtype=np.int64) * flat.size // SAMPLE]


def given(manifest: Manifest) -> Given:
    """The inputs of every golden step, by program and step; of the state, only the first step's."""
    steps = {
        ("train_step", step): inputs(manifest, "train_step", step, without=CARRIED if step else ())
        for step in range(manifest.golden.steps)
    }
    return steps | {(program, 0): inputs(manifest, program, 0) for program in ("predict", "relabel")}


def run(
    manifest: Manifest, train_step: Run, predict: Run, relabel: Run, *, fed: Given | None = None
) -> dict[str, Array]:
    """Run every golden step through the three programs; the sampled outputs by recorded name.

    `fed`: `given(manifest)`, for who runs them more than once: a large model's take seconds.
    """
    recorded: dict[str, Array] = {}
    carried: dict[str, Array] = {}
    for step in range(manifest.golden.steps):
        made = (
            fed[("train_step", step)]
            if fed
            else inputs(manifest, "train_step", step, without=CARRIED if carried else ())
        )
        outputs = train_step(made | carried)
        carried = {item.name: outputs["new." + item.name] for item in manifest.train_step.role(*CARRIED)}
        recorded |= {f"train_step.{step}.{name}": sample(value) for name, value in outputs.items()}
    for program, call in (("predict", predict), ("relabel", relabel)):
        outputs = call(fed[(program, 0)] if fed else inputs(manifest, program, 0))
        recorded |= {f"{program}.0.{name}": sample(value) for name, value in outputs.items()}
    return recorded


def errors(manifest: Manifest, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
    """The `relative_error` of each recorded output, with its slack."""
    result = {}
    for name, scale in scales(manifest, expected).items():
        slack = float(expected.get(SLACK + name, np.float32(0)))
        result[name] = relative(difference(expected[name], actual[name]), scale, slack)
    return result


def scales(manifest: Manifest, expected: Mapping[str, Array]) -> dict[str, float]:
    """What the error of each recorded output is relative to: of state its change, so that a wrong gradient can't hide
    in a weight.
    """
    state = {item.name: item for item in manifest.train_step.role(*CARRIED)}
    by_name = {}
    for name, want in expected.items():
        if name.startswith(SLACK):
            continue
        program, step, output = name.split(".", 2)
        before: Array | float = 0.0
        if output.startswith("new."):
            before = (
                _sampled(manifest, state[output.removeprefix("new.")])
                if step == "0"
                else expected[f"{program}.{int(step) - 1}.{output}"]
            )
        by_name[name] = change_scale(want, before)
    return by_name


def relative_error(expected: Array, actual: Array, before: Array | float = 0.0, slack: float = 0.0) -> float:
    """max |actual - expected|, less the slack, / (max |expected - before| + 0.01 max |expected|).

    Of the slack no more than 0.3 of the divisor counts. Infinite where anything is not finite, on either side, or the
    shapes differ: a NaN that is expected is no number that anything could equal.
    """
    return relative(difference(expected, actual), change_scale(expected, before), slack)


def relative(off: float, scale: float, slack: float = 0.0) -> float:
    """The `relative_error` of a `difference` and a `change_scale`, which may be of more than one tensor."""
    if not all(map(math.isfinite, (off, scale, slack))):
        return math.inf
    return max(off - min(slack, LARGEST_SLACK * scale), 0.0) / scale


def difference(expected: Array, actual: Array) -> float:
    """max |actual - expected|; infinite where anything is not finite, on either side, or the shapes differ."""
    if expected.shape != actual.shape:
        return math.inf
    return max(map(_largest, zip(_blocks(expected), _blocks(actual), strict=True)), default=0.0)


def change_scale(expected: Array, before: Array | float) -> float:
    """max |expected - before| + 0.01 max |expected|, and no less than 1e-12; infinite where anything is not finite."""
    change = largest = 0.0
    befores = _blocks(np.asarray(before)) if np.ndim(before) else repeat(before)
    for want, old in zip(_blocks(expected), befores, strict=False):
        change = max(change, _largest((want, old)))
        largest = max(largest, _largest((want, 0.0)))
    return max(change + 0.01 * largest, 1e-12)


def _largest(pair: tuple[NDArray[np.float64], NDArray[np.float64] | float]) -> float:
    """max |one - other|, infinite where either is not finite: as a NaN it would be lost in the next `max`."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        found = float(np.abs(pair[0] - pair[1]).max(initial=0.0))
    return found if math.isfinite(found) else math.inf


def _blocks(array: Array) -> Iterator[NDArray[np.float64]]:
    """Its elements in float64, so many at a time as stay in a processor's cache."""
    flat = np.asarray(array).reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        yield flat[start : start + _BLOCK].astype(np.float64)


def check(manifest: Manifest, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, float]:
    """The errors; raises VerificationFailed naming the first output, as `expected` has them, beyond the tolerance."""
    measured = errors(manifest, expected, actual)
    for name, error in measured.items():
        if not error <= manifest.golden.tolerance:
            raise VerificationFailed(
                f"golden output {name} is off by {error:.2g} (allowed: {manifest.golden.tolerance:.0e})",
                remedy="do not train with this program on this runtime; update the runtime or export again",
            )
    return measured


def _make(manifest: Manifest, program: str, step: int, item: ProgramInput) -> Array:
    golden = manifest.golden
    sizes = {"B": golden.batch, "N": 4 * golden.batch}
    shape = tuple(sizes[d] if isinstance(d, str) else d for d in item.shape)
    origin = 0 if item.role in (*CARRIED, "anchor") else step
    if item.role in _UNDRAWN:
        return np.asarray(_UNDRAWN[item.role](manifest, item, shape)).astype(item.dtype)
    u = streams.uniforms(streams.derive(b"fedrela golden", golden.seed, program, origin, item.name), shape)
    return np.asarray(_value(manifest, item, shape, u)).astype(item.dtype)


def _sampled(manifest: Manifest, item: ProgramInput) -> Array:
    """`sample` of the first step's state, without making the rest of it."""
    shape = tuple(int(size) for size in item.shape)
    size = math.prod(shape)
    if size <= SAMPLE or item.role in _UNDRAWN:
        return sample(_make(manifest, "train_step", 0, item))
    stream = streams.derive(b"fedrela golden", manifest.golden.seed, "train_step", 0, item.name)
    u = streams.uniforms_at(stream, np.arange(SAMPLE, dtype=np.int64) * size // SAMPLE)
    return np.asarray(_value(manifest, item, shape, u)).astype(item.dtype)


# What no random number decides, by role.
_UNDRAWN: dict[Role, Callable[[Manifest, ProgramInput, tuple[int, ...]], Array | float]] = {
    "optimizer": lambda manifest, item, shape: np.zeros(shape),
    "weight": lambda manifest, item, shape: np.where(np.arange(shape[0]) == shape[0] - 1, 0, 1),
    "hyperparameter": lambda manifest, item, shape: ((manifest.hyperparameters or {}) | HYPERPARAMETERS).get(
        item.name, 0.0
    ),
    "threshold_percent": lambda manifest, item, shape: THRESHOLD_PERCENT,
}


def _value(
    manifest: Manifest, item: ProgramInput, shape: tuple[int, ...], u: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The rule of the table above for the elements of one input that `u` is drawn for."""
    if item.role in ("parameter", "anchor"):
        bound = np.float32(np.sqrt(3 / np.prod(shape[1:]))) if len(shape) > 1 else None
        return u + np.float32(0.5) if bound is None else u * (2 * bound) - bound
    if item.role == "x":
        limit = {"uint8": 256, "float32": 0}.get(item.dtype, manifest.golden.token_limit)
        return np.floor(u * np.float32(limit)) if limit else u * np.float32(2) - np.float32(1)
    if item.role in ("class_prior", "probabilities"):
        positive = u + np.float32(0.1 if item.role == "class_prior" else 0.01)
        return np.asarray(positive / positive.sum(axis=-1, keepdims=True, dtype=np.float32))
    classes = np.float32(manifest.classes)
    if item.role in ("y", "labels"):
        labels: NDArray[np.float32] = np.floor(u * classes if item.role == "y" else u * u * classes)
        return labels
    return {"buffer": u + np.float32(0.5), "random": u, "uniforms": u * np.float32(0.1)}[item.role]
