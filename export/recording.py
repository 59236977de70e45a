"""The golden steps' outputs in eager PyTorch, as a bundle holds them. May import `core` and this package's plain parts.

manifest = replace(manifest, golden=record(reference, exact, manifest, folder))
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from core import golden, signing, tensors
from core.bundle import Golden, Manifest
from core.tensors import Array
from export import steadiness
from export.reference import Reference


def record(reference: Reference, exact: Reference, manifest: Manifest, folder: Path) -> Golden:
    """Write the outputs for the first seed whose outcome float32 decides, else the best; `exact` is in float64."""
    runs = (reference.train_step, reference.predict, reference.relabel)
    noise: set[str] = set()

    def draw(seed: int) -> tuple[Collection[str], tuple[Manifest, dict[str, Array]]]:
        seeded = replace(manifest, golden=replace(manifest.golden, seed=seed))
        recorded = golden.run(seeded, *runs)
        jumps = steadiness.golden_jumps(seeded, recorded, runs)
        if jumps and seed == 0:  # what is noise lies in the net, not in the data
            noise.update(_noise(seeded, recorded, exact))
        return {name for name in jumps if _tensor(name) not in noise}, (seeded, recorded)

    jumps, (seeded, recorded) = steadiness.steadiest(draw)
    # Of every step: each is compared with the one before.
    left_out = _noise(seeded, recorded, exact) | {_tensor(name) for name in jumps}
    body = tensors.to_bytes({name: value for name, value in recorded.items() if _tensor(name) not in left_out})
    (folder / seeded.golden.path).write_bytes(body)
    return replace(seeded.golden, sha256=signing.sha256(body), size_bytes=len(body))


def _noise(manifest: Manifest, recorded: Mapping[str, Array], exact: Reference) -> set[str]:
    """The tensors in which eager float32 is rounding noise at some step."""
    truth = golden.run(manifest, exact.train_step, exact.predict, exact.relabel)
    errors = golden.errors(manifest, truth, recorded)
    return {_tensor(name) for name, error in errors.items() if not error <= steadiness.NOISE}


def _tensor(recorded_name: str) -> str:
    return recorded_name.split(".", 2)[2]
