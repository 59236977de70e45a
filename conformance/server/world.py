"""What a case's coordinator has to offer: task, manifest, programs, weights, and the signed assignment of them.

world = make(load()["plain-round"])
world.blobs[world.assignment["task_sha256"]]        # ("task", its bytes)
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fedrela.conformance.files import PUBLISHER, PUBLISHER_KEY, ROUNDS_BUNDLE, VECTORS, read_json
from fedrela.conformance.server.cases import Case, SealFault
from fedrela.core import signing, tensors
from fedrela.core.bundle import PROGRAMS
from fedrela.core.protocol import key_chain, links, seals, statements
from fedrela.core.protocol.key_chain import KeyChain
from fedrela.core.protocol.seals import Seal
from fedrela.core.tensors import Array
from fedrela.core.wire import Assignment

PRIVATE_KEY, OTHER_KEY = "5e" * 32, "0d" * 32
PUBLIC_KEY = signing.public_key(PRIVATE_KEY)
NEXT_PRIVATE_KEY = "6f" * 32  # of the coordinator, where its key has been followed by another
KEYS = KeyChain((key_chain.rotate(PRIVATE_KEY, signing.public_key(NEXT_PRIVATE_KEY)),))
FIELDS = {field.name for field in dataclasses.fields(Assignment)}
DEVICE_ID, POPULATION = "device-1", "default"
ENROLLMENT_TOKEN, DEVICE_TOKEN, UPLOAD_TOKEN = "enrollment-token", "device-token", "upload-token"
FRAGMENT = links.fragment(ENROLLMENT_TOKEN, signing.fingerprint(PUBLIC_KEY), (PUBLISHER,))  # of the enrollment links
SECRET = bytes(range(32))  # of the device: its random draws, and so its update, follow from it
DATA = VECTORS / "rounds" / "data.safetensors"


@dataclass(frozen=True)
class World:
    """`blobs` by SHA-256: the log's name of a blob, and its bytes. `expected`: the right update by tensor name."""

    blobs: Mapping[str, tuple[str, bytes]]
    assignment: Mapping[str, Any]
    weights: Mapping[str, Array]
    expected: Mapping[str, Array]
    examples: int
    page_task: str  # as it is without the case's faults: the phone page shows it before anybody joins
    page_manifest: str
    page_seal: Mapping[str, Any]


def make(case: Case) -> World:
    """The world of one case."""
    chosen = next(item for item in read_json("rounds/cases.json") if item["name"] == case.round)
    plain_manifest = (ROUNDS_BUNDLE / "manifest.json").read_bytes()
    bodies = {name: (ROUNDS_BUNDLE / f"{name}.onnx").read_bytes() for name in PROGRAMS}
    bodies["golden"] = (ROUNDS_BUNDLE / "golden.safetensors").read_bytes()
    bodies["checkpoint"] = (VECTORS / "rounds" / "weights.safetensors").read_bytes()
    bodies["task"] = chosen["task"].encode()
    if case.task:
        bodies["task"] = json.dumps(merged(json.loads(chosen["task"]), case.task)).encode()
    plain = dict(bodies)
    for name, edit in case.blobs.items():
        if name in bodies:
            bodies[name] = _edited(bodies[name], edit)
    bodies["manifest"] = _edited(_manifest(case, plain_manifest, plain, bodies), case.blobs.get("manifest", {}))
    outcome = tensors.read((VECTORS / "rounds" / f"{case.round}.safetensors").read_bytes())
    return World(
        blobs={signing.sha256(body): (name, body) for name, body in bodies.items()},
        assignment=_assignment(case, chosen["round"], bodies),
        weights=tensors.read((VECTORS / "rounds" / "weights.safetensors").read_bytes()),
        expected={name.removeprefix("update."): value for name, value in outcome.items() if name != "labels"},
        examples=len(tensors.read(DATA.read_bytes())["y"]),
        page_task=chosen["task"],
        page_manifest=plain_manifest.decode(),
        page_seal=vars(_seal(signing.sha256(plain_manifest), "")),
    )


def merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with those of `over`, table by table."""
    whole = dict(values)
    for name, value in over.items():
        inner = whole.get(name)
        both = isinstance(value, Mapping) and isinstance(inner, Mapping)
        whole[name] = merged(inner, value) if both else value  # type: ignore[arg-type]
    return whole


def _manifest(case: Case, body: bytes, plain: Mapping[str, bytes], bodies: Mapping[str, bytes]) -> bytes:
    """The manifest with the case's edits; hashes and sizes are those of the files as they are now."""
    changed = [name for name in (*PROGRAMS, "golden") if bodies[name] != plain[name]]
    if not changed and not case.manifest:
        return body
    manifest = json.loads(body)
    for name in changed:
        file = manifest["golden"] if name == "golden" else manifest[name]["files"][0]
        file |= {"sha256": signing.sha256(bodies[name]), "size_bytes": len(bodies[name])}
    for path, value in case.manifest:
        inner = manifest
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
    return json.dumps(manifest).encode()


def _edited(body: bytes, edit: Mapping[str, Any]) -> bytes:
    """A blob's bytes with what a case changes of them."""
    if "text" in edit:
        return str(edit["text"]).encode()
    if "tensor" in edit:
        arrays = {name: array.copy() for name, array in tensors.read(body).items()}
        changed = arrays[edit["tensor"]].reshape(-1)
        changed[0] += edit.get("add", 0)
        changed[...] = edit.get("fill", changed)
        return tensors.to_bytes(arrays)
    return body + b" " * int(edit.get("pad_bytes", 0))


def signed(values: Mapping[str, Any], nonce: str, signed_for: Mapping[str, str]) -> dict[str, Any]:
    """An assignment as the answer to the check-in of that nonce, unless the case wants another signature."""
    if "signature" in values:
        return dict(values)
    assignment = Assignment(**{name: value for name, value in values.items() if name in FIELDS})
    usual = {"device_id": DEVICE_ID, "population": POPULATION, "nonce": nonce, "private_key": PRIVATE_KEY}
    made = {**usual, **signed_for}
    key = made.pop("private_key")
    return {**values, "signature": signing.sign(key, statements.assignment(assignment, **made))}


def _assignment(case: Case, number: int, bodies: Mapping[str, bytes]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "assignment_id": "assignment-1",
        "task_id": "conformance",
        "round": number,
        "task_sha256": signing.sha256(bodies["task"]),
        "manifest_sha256": signing.sha256(bodies["manifest"]),
        "checkpoint_sha256": signing.sha256(bodies["checkpoint"]),
        "checkpoint_bytes": len(bodies["checkpoint"]),
        "compute_lease_seconds": 300.0,
        "upload_lease_seconds": 60.0,
        "upload_token": UPLOAD_TOKEN,
    }
    values["seal"] = None if case.seal == "missing" else vars(_seal(values["manifest_sha256"], case.seal))
    return {**values, **case.assignment}


def _seal(manifest_sha256: str, fault: SealFault) -> Seal:
    """The publisher's seal, or one with a fault."""
    key = OTHER_KEY if fault == "another-publisher" else PUBLISHER_KEY
    manifest_sha256 = signing.sha256(b"another") if fault == "another-program" else manifest_sha256
    sealed = seals.seal(key, manifest_sha256=manifest_sha256, weights_sha256=signing.sha256(b"weights"))
    return replace(sealed, signature="00" * 64) if fault == "forged" else sealed
