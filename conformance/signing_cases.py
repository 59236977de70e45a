"""Vectors for hashes, Ed25519 signatures, and whatever is signed.

>>> build()["sha256"][0]["sha256"][:8]
'e3b0c442'
"""

from dataclasses import asdict, replace
from typing import Any

from fedrela.core import signing
from fedrela.core.protocol import key_chain, seals, signed_requests, statements
from fedrela.core.wire import Assignment

# RFC 8032, section 7.1, tests 1 to 3: secret key, public key, message, signature.
RFC_8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
)
HASHED = (b"", b"abc", bytes(range(256)))
ORDER = 2**252 + 27742317777372353535851937790883648493  # of the group; S must lie below it (RFC 8032, 5.1.7)


def build() -> dict[str, Any]:
    """The document signing.json."""
    private, public, message, signature = RFC_8032[2]
    return {
        "sha256": [
            {"message": body.hex(), "sha256": signing.sha256(body)} for body in (b"", b"abc", bytes(range(256)))
        ],
        "ed25519": [
            *(
                dict(zip(("public_key", "message", "signature"), case[1:], strict=True), valid=True)
                for case in RFC_8032
            ),
            *_forged(public, message, signature),
        ],
        "assignments": [_assignment(private, public, clip) for clip in (0, 57_600_000)],
        "enrollment": _enrollment(private, public),
        "requests": _requests(private),
        "key_chains": _key_chains(),
        "seal": _seal(private, public),
    }


def _forged(public: str, message: str, signature: str) -> list[dict[str, Any]]:
    """The third case with one thing wrong at a time."""
    r, s = signature[:64], signature[64:]
    high_s = (int.from_bytes(bytes.fromhex(s), "little") + ORDER).to_bytes(32, "little").hex()
    changed = {
        "message changed": (public, message + "00", signature),
        "first bit of R flipped": (public, message, _flipped(r) + s),
        "first bit of S flipped": (public, message, r + _flipped(s)),
        "S not below the group order": (public, message, r + high_s),
        "another key": (RFC_8032[1][1], message, signature),
        "signature of another message": (public, message, RFC_8032[1][3]),
        "signature cut": (public, message, signature[:-2]),
        "signature empty": (public, message, ""),
        "signature not hexadecimal": (public, message, "z" * 128),
        "key cut": (public[:-2], message, signature),
        "key not a point": ("02" + "00" * 31, message, signature),
    }
    return [
        {"name": name, "public_key": key, "message": text, "signature": sealed, "valid": False}
        for name, (key, text, sealed) in changed.items()
    ]


def _flipped(text: str) -> str:
    return f"{int(text[:2], 16) ^ 1:02x}" + text[2:]


def _assignment(private: str, public: str, clip_millionths: int) -> dict[str, Any]:
    task, manifest, checkpoint = (signing.sha256(name) for name in (b"task", b"manifest", b"checkpoint"))
    leases = (300.25, 0.0005)
    assignment = Assignment(
        "a-1", "t-1", 3, task, manifest, checkpoint, 1234, *leases, "upload-token", 2, clip_millionths=clip_millionths
    )
    device_id, population, nonce = "d-1", "default", "0f" * 16
    message = statements.assignment(assignment, device_id, population, nonce)
    return {
        "public_key": public,
        "device_id": device_id,
        "population": population,
        "nonce": nonce,
        "assignment": {name: value for name, value in asdict(assignment).items() if name != "signature"},
        "message": message.hex(),
        "signature": signing.sign(private, message),
    }


def _enrollment(private: str, public: str) -> dict[str, Any]:
    token, coordinator = "enrollment-token", signing.fingerprint(RFC_8032[0][1])
    message = statements.enrollment(token, public, coordinator)
    return {
        "public_key": public,
        "enrollment_token": token,
        "coordinator_key": RFC_8032[0][1],
        "coordinator": coordinator,
        "message": message.hex(),
        "signature": signing.sign(private, message),
    }


def _requests(private: str) -> list[dict[str, Any]]:
    """What a device's key adds to a request."""
    requests = (
        ("POST", "/v1/check-ins", b'{"protocol":1}'),
        ("PUT", "/v1/assignments/a-1/update", bytes(range(256))),
        ("GET", f"/v1/blobs/{signing.sha256(b'blob')}", b""),
        ("DELETE", "/v1/devices/self", b""),
    )
    return [
        {
            "private_key": private,
            "method": method,
            "path": path,
            "body": body.hex(),
            "headers": signed_requests.headers(private, method, path, body),
        }
        for method, path, body in requests
    ]


def _key_chains() -> list[dict[str, Any]]:
    """Chains of rotations, and where each leads from a pinned fingerprint; `newest` null: it is refused."""
    one, two, three = (bytes([number]).hex() * 32 for number in (1, 2, 3))
    first, second = key_chain.rotate(one, signing.public_key(two)), key_chain.rotate(two, signing.public_key(three))
    forged = replace(second, signature=first.signature)
    pinned = {name: signing.fingerprint(signing.public_key(key)) for name, key in (("one", one), ("two", two))}
    cases = (
        ("from the first key", (first, second), pinned["one"], second.public_key),
        ("from the second key", (first, second), pinned["two"], second.public_key),
        ("one rotation", (first,), pinned["one"], first.public_key),
        ("nothing is said", (), pinned["one"], None),
        ("the pinned key says nothing", (second,), pinned["one"], None),
        ("a signature of another statement", (first, forged), pinned["one"], None),
        ("a key in between is missing", (first, first), pinned["one"], None),
    )
    return [
        {"name": name, "rotations": [asdict(one) for one in rotations], "pinned": fingerprint, "newest": newest}
        for name, rotations, fingerprint, newest in cases
    ]


def _seal(private: str, public: str) -> dict[str, Any]:
    sealed = seals.seal(private, manifest_sha256=signing.sha256(b"manifest"), weights_sha256=signing.sha256(b"weights"))
    signed = seals.message(sealed.manifest_sha256, sealed.weights_sha256)
    return vars(sealed) | {"public_key": public, "fingerprint": sealed.publisher(), "message": signed.hex()}
