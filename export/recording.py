"""The golden steps' outputs in eager PyTorch, as a bundle holds them. May import `core` and this package's plain parts.

manifest = replace(manifest, golden=record(reference, exact, manifest, folder))
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from core import golden, signing, tensors
from core.bundle import Golden, Manifest
from core.tensors import Array
from export import steadiness
from export.reference import Reference


def record(reference: Reference, exact: Reference, manifest: Manifest, folder: Path) -> Golden:
    """Write the outputs for the first seed whose outcome float32 decides, else the best; `exact` is in float64."""
    runs = (exact.train_step, exact.predict, exact.relabel)
    tried = []
    for seed in range(steadiness.DRAWS):
        seeded = replace(manifest, golden=replace(manifest.golden, seed=seed))
        truth = golden.run(seeded, *runs)
        tried.append((steadiness.golden_jumps(seeded, truth, runs), seeded, truth))
        if not tried[-1][0]:
            break
    jumps, seeded, truth = min(tried, key=lambda one: len(one[0]))
    recorded = golden.run(seeded, reference.train_step, reference.predict, reference.relabel)
    body = tensors.to_bytes(_decided(seeded, recorded, truth, jumps))
    (folder / seeded.golden.path).write_bytes(body)
    return replace(seeded.golden, sha256=signing.sha256(body), size_bytes=len(body))


def _decided(
    manifest: Manifest, recorded: Mapping[str, Array], exact: Mapping[str, Array], jumps: set[str]
) -> dict[str, Array]:
    """The outputs that float32 decides: without `jumps`, and without tensors where eager float32 is rounding noise."""
    own = golden.errors(manifest, exact, recorded)
    noise = {name for name, error in own.items() if not error <= steadiness.NOISE}
    left_out = {name.split(".", 2)[2] for name in noise | jumps}  # of every step: each is compared with the one before
    return {name: value for name, value in recorded.items() if name.split(".", 2)[2] not in left_out}
