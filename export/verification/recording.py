"""The golden steps' outputs in eager PyTorch, as a bundle holds them.

drawn = draw(reference, exact, manifest)
more = [jumps(reference, drawn, stability.MORE_PERTURBATIONS)] if drawn.unstable else []
manifest = replace(manifest, golden=write(drawn, more, folder))
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedrela.core import golden, signing, tensors
from fedrela.core.bundle import Golden, Manifest
from fedrela.core.tensors import Array
from fedrela.export.verification import stability
from fedrela.export.verification.reference import Reference


@dataclass(frozen=True)
class Drawn:
    """The golden steps of one seed: eager PyTorch's outputs by recorded name, how far each is off from float64, and how
    far it jumps, both relative. unstable: some jump that are not nothing but rounding.
    """

    manifest: Manifest
    recorded: dict[str, Array]
    off: dict[str, float]
    jumps: dict[str, float]
    unstable: bool


def draw(reference: Reference, exact: Reference, manifest: Manifest) -> Drawn:
    """Of the first seed whose outcome float32 decides, else of the best; `exact` is in float64."""
    nothing: set[str] = set()

    def draw_seed(seed: int) -> tuple[Collection[str], Drawn]:
        seeded = replace(manifest, golden=replace(manifest.golden, seed=seed))
        fed, runs = _given(reference, seeded)
        recorded = golden.run(seeded, *runs, fed=fed)
        truth = golden.run(seeded, exact.train_step, exact.predict, exact.relabel, fed=fed)
        off = golden.errors(seeded, truth, recorded)
        found = stability.golden_discontinuities(seeded, recorded, runs, fed)
        if seed == 0:  # what is nothing but rounding lies in the net, not in the data
            nothing.update(_nothing(off))
        unstable = {name for name in found if _tensor(name) not in nothing}
        return unstable, Drawn(seeded, recorded, off, found, bool(unstable))

    return stability.most_stable(draw_seed)[1]


def jumps(reference: Reference, drawn: Drawn, directions: Iterable[int]) -> dict[str, float]:
    """The outputs that jump under roundings in these directions, and how far, relative."""
    fed, runs = _given(reference, drawn.manifest)
    return stability.golden_discontinuities(drawn.manifest, drawn.recorded, runs, fed, directions)


def write(drawn: Drawn, more_jumps: Iterable[Mapping[str, float]], folder: Path) -> Golden:
    """Write the outputs into `folder`; what is nothing but rounding is left out.

    Where rounding decides some of an output, it gets slack: three times as far as roundings were seen to take it.
    """
    relative = {name: error for name, error in drawn.off.items() if not error <= stability.NOISE}
    for found in (drawn.jumps, *more_jumps):
        relative = stability.elementwise_maximum(relative, found)
    left_out = _nothing(relative)
    expected = {name: value for name, value in drawn.recorded.items() if _tensor(name) not in left_out}
    scales = golden.scales(drawn.manifest, expected)
    slack = {name: stability.TIMES * relative[name] * scales[name] for name in expected if name in relative}
    body = tensors.to_bytes(
        expected | {golden.SLACK + name: np.asarray(value, np.float32) for name, value in slack.items()}
    )
    recorded = drawn.manifest.golden
    (folder / recorded.path).write_bytes(body)
    return replace(recorded, sha256=signing.sha256(body), size_bytes=len(body))


def _given(
    reference: Reference, manifest: Manifest
) -> tuple[golden.Given, tuple[stability.Step, stability.Step, stability.Step]]:
    """The golden inputs, and the three programs: predictions and re-labelings are no different when run again."""
    fed = golden.given(manifest)
    predicted, relabeled = reference.predict(fed["predict", 0]), reference.relabel(fed["relabel", 0])
    return fed, (reference.train_step, lambda inputs: predicted, lambda inputs: relabeled)


def _nothing(off: Mapping[str, float]) -> set[str]:
    """The tensors that are nothing but rounding at some step: left out of all, for each is compared with the last."""
    return {_tensor(name) for name, error in off.items() if not error <= stability.NOTHING_BUT_NOISE}


def _tensor(recorded_name: str) -> str:
    return recorded_name.split(".", 2)[2]
