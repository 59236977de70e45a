"""Requests that carry their sender's signature, so that a stolen bearer token alone opens nothing.

HTTP Message Signatures (RFC 9421) with Ed25519 over one fixed set of components, and Content-Digest (RFC 9530):

    Content-Digest: sha-256=:BASE64:
    Signature-Input: fedrela=("@method" "@path" "content-digest");keyid="PUBLIC KEY";alg="ed25519"
    Signature: fedrela=:BASE64:

Requests without a body (GET, DELETE) leave out the digest. Since the set is fixed, nothing is parsed: what differs in
a single character is refused. `@path` is the path below the coordinator's address, which is what it sees behind a
proxy. There is no `created`: a board has no clock that could be relied on. A request that somebody sends once more does
what it did the first time; see conformance/http.md.

    >>> key = "5e" * 32
    >>> signed = headers(key, "GET", "/v1/blobs/00", b"")
    >>> signer("GET", "/v1/blobs/00", signed) == signing.public_key(key)
    True
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

from fedrela.core import signing
from fedrela.core.errors import IntegrityError, Refused

CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT = "Content-Digest", "Signature", "Signature-Input"
HEADERS = (CONTENT_DIGEST, SIGNATURE, SIGNATURE_INPUT)
WITH_BODY = ("POST", "PUT")
_SIGNED_BY = re.compile(r'fedrela=(\("@method" "@path"(?: "content-digest")?\);keyid="([0-9a-f]{64})";alg="ed25519")')
_SIGNATURE = re.compile(r"fedrela=:([A-Za-z0-9+/]{86}==):")


def content_digest(body: bytes | bytearray) -> str:
    """The value of Content-Digest for a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def headers(private_key: str, method: str, path: str, body: bytes | bytearray) -> dict[str, str]:
    """What is added to a request of `method` to `path`, so that its receiver knows who sent it."""
    digest = content_digest(body) if method in WITH_BODY else ""
    parameters = _parameters(signing.public_key(private_key), digest)
    signature = bytes.fromhex(signing.sign(private_key, _base(method, path, digest, parameters)))
    added = {
        SIGNATURE_INPUT: f"fedrela={parameters}",
        SIGNATURE: f"fedrela=:{base64.b64encode(signature).decode()}:",
    }
    return {CONTENT_DIGEST: digest, **added} if digest else added


def signer(method: str, path: str, headers: Mapping[str, str]) -> str:
    """The public key that signed a request. Raises Refused (401) where none did, or where the request was changed.

    Whether the body fits its digest is for `check_digest`, once the body is there.
    """
    digest = headers.get(CONTENT_DIGEST, "") if method in WITH_BODY else ""
    named = _SIGNED_BY.fullmatch(headers.get(SIGNATURE_INPUT, ""))
    signature = _SIGNATURE.fullmatch(headers.get(SIGNATURE, ""))
    if named is None or signature is None or (method in WITH_BODY) != bool(digest):
        raise bad_signature()
    parameters, public_key = named.groups()
    if parameters != _parameters(public_key, digest):
        raise bad_signature()
    try:
        raw = base64.b64decode(signature[1], validate=True)
        signing.verify(public_key, _base(method, path, digest, parameters), raw.hex())
    except (binascii.Error, IntegrityError) as error:
        raise bad_signature() from error
    return public_key


def check_digest(digest: str, body: bytes) -> None:
    """Raise Refused (400) unless a body is the one that a Content-Digest names."""
    if digest != content_digest(body):
        raise Refused(
            "the body does not match its Content-Digest",
            remedy="send it again, with Content-Digest: sha-256=:BASE64:",
            code="bad-digest",
            status=400,
        )


def bad_signature() -> Refused:
    """The one answer to every request that its device has not signed."""
    return Refused(
        "the request is not signed by this device's key, or was changed on its way",
        remedy="send Signature-Input and Signature as the protocol says, and Content-Digest with every body",
        code="bad-signature",
        status=401,
    )


def _parameters(public_key: str, digest: str) -> str:
    components = '("@method" "@path" "content-digest")' if digest else '("@method" "@path")'
    return f'{components};keyid="{public_key}";alg="ed25519"'


def _base(method: str, path: str, digest: str, parameters: str) -> bytes:
    """RFC 9421, section 2.5: what is signed."""
    lines = [f'"@method": {method}', f'"@path": {path}']
    if digest:
        lines.append(f'"content-digest": {digest}')
    return "\n".join([*lines, f'"@signature-params": {parameters}']).encode()
