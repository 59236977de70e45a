"""The golden steps' outputs in eager PyTorch, as a bundle holds them.

manifest = replace(manifest, golden=record(reference, exact, manifest, folder))
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedrela.core import golden, signing, tensors
from fedrela.core.bundle import Golden, Manifest
from fedrela.core.tensors import Array
from fedrela.export.verification import stability
from fedrela.export.verification.reference import Reference


@dataclass(frozen=True)
class _Draw:
    """The golden steps of one seed: inputs, eager PyTorch's outputs, how far it is off, and where it jumps."""

    manifest: Manifest
    fed: golden.Given
    runs: tuple[stability.Step, stability.Step, stability.Step]
    recorded: dict[str, Array]
    off: dict[str, float]
    discontinuities: dict[str, float]


def record(reference: Reference, exact: Reference, manifest: Manifest, folder: Path) -> Golden:
    """Write the outputs for the first seed whose outcome float32 decides, else the best; `exact` is in float64.

    What is nothing but rounding is left out. Where rounding decides some of an output, it gets slack: three times as
    far as roundings were seen to take it.
    """
    nothing: set[str] = set()

    def draw(seed: int) -> tuple[Collection[str], _Draw]:
        seeded = replace(manifest, golden=replace(manifest.golden, seed=seed))
        fed = golden.given(seeded)
        predicted, relabeled = reference.predict(fed["predict", 0]), reference.relabel(fed["relabel", 0])
        runs = (reference.train_step, lambda inputs: predicted, lambda inputs: relabeled)
        recorded = golden.run(seeded, *runs, fed=fed)
        truth = golden.run(seeded, exact.train_step, exact.predict, exact.relabel, fed=fed)
        off = golden.errors(seeded, truth, recorded)
        discontinuities = stability.golden_discontinuities(seeded, recorded, runs, fed)
        if seed == 0:  # what is nothing but rounding lies in the net, not in the data
            nothing.update(_nothing(off))
        drawn = _Draw(seeded, fed, runs, recorded, off, discontinuities)
        return {name for name in discontinuities if _tensor(name) not in nothing}, drawn

    unstable, best = stability.most_stable(draw)
    seeded, recorded, off, discontinuities = best.manifest, best.recorded, best.off, best.discontinuities
    if unstable:
        more = stability.golden_discontinuities(seeded, recorded, best.runs, best.fed, stability.MORE_PERTURBATIONS)
        discontinuities = stability.elementwise_maximum(discontinuities, more)
    relative = stability.elementwise_maximum(
        discontinuities, {name: error for name, error in off.items() if not error <= stability.NOISE}
    )
    left_out = _nothing(relative)
    expected = {name: value for name, value in recorded.items() if _tensor(name) not in left_out}
    scales = golden.scales(seeded, expected)
    slack = {name: stability.TIMES * relative[name] * scales[name] for name in expected if name in relative}
    body = tensors.to_bytes(
        expected | {golden.SLACK + name: np.asarray(value, np.float32) for name, value in slack.items()}
    )
    (folder / seeded.golden.path).write_bytes(body)
    return replace(seeded.golden, sha256=signing.sha256(body), size_bytes=len(body))


def _nothing(off: Mapping[str, float]) -> set[str]:
    """The tensors that are nothing but rounding at some step: left out of all, for each is compared with the last."""
    return {_tensor(name) for name, error in off.items() if not error <= stability.NOTHING_BUT_NOISE}


def _tensor(recorded_name: str) -> str:
    return recorded_name.split(".", 2)[2]
