"""The golden steps' outputs in eager PyTorch, as a bundle holds them.

manifest = replace(manifest, golden=record(reference, exact, manifest, folder))
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from fedrela.core import golden, signing, tensors
from fedrela.core.bundle import Golden, Manifest
from fedrela.core.tensors import Array
from fedrela.export.verification import stability
from fedrela.export.verification.reference import Reference


def record(reference: Reference, exact: Reference, manifest: Manifest, folder: Path) -> Golden:
    """Write the outputs for the first seed whose outcome float32 decides, else the best; `exact` is in float64.

    What is nothing but rounding is left out. Where rounding decides some of an output, it gets slack: three times as
    far as roundings were seen to take it.
    """
    runs = (reference.train_step, reference.predict, reference.relabel)
    nothing: set[str] = set()

    def draw(
        seed: int,
    ) -> tuple[Collection[str], tuple[Manifest, dict[str, Array], dict[str, float], dict[str, float]]]:
        seeded = replace(manifest, golden=replace(manifest.golden, seed=seed))
        recorded = golden.run(seeded, *runs)
        off = golden.errors(seeded, golden.run(seeded, exact.train_step, exact.predict, exact.relabel), recorded)
        discontinuities = stability.golden_discontinuities(seeded, recorded, runs)
        if seed == 0:  # what is nothing but rounding lies in the net, not in the data
            nothing.update(_nothing(off))
        return {name for name in discontinuities if _tensor(name) not in nothing}, (
            seeded,
            recorded,
            off,
            discontinuities,
        )

    unstable, (seeded, recorded, off, discontinuities) = stability.most_stable(draw)
    if unstable:
        more = stability.golden_discontinuities(seeded, recorded, runs, stability.MORE_PERTURBATIONS)
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
