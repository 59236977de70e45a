"""A seal: the publisher's signature over a bundle. It says who vouches for a program, wherever the program comes from.

A coordinator hands programs on; it doesn't vouch for them. The publisher's key is kept by whoever exports, off the
coordinator, and a device learns its fingerprint from the enrollment link.

    >>> key = signing.generate_key()
    >>> sealed = seal(key, manifest_sha256="00" * 32, weights_sha256="11" * 32)
    >>> check(sealed, "00" * 32, (sealed.publisher(),))
    >>> check(sealed, "00" * 32, ("another",))
    Traceback (most recent call last):
    ...
    fedrela.core.errors.IntegrityError: ... not among the publishers of this device's link; ...
"""

from collections.abc import Collection
from dataclasses import dataclass

from fedrela.core import signing
from fedrela.core.errors import IntegrityError
from fedrela.core.protocol.limits import PublicKey, Sha256, Signature


@dataclass(frozen=True)
class Seal:
    """Hashes of the two roots of a bundle, and its publisher's signature over `message()`."""

    manifest_sha256: Sha256
    weights_sha256: Sha256
    public_key: PublicKey
    signature: Signature

    def publisher(self) -> str:
        """The publisher's fingerprint, as enrollment links name it."""
        return signing.fingerprint(self.public_key)

    def verify(self) -> None:
        """Raise IntegrityError unless the signature is that of `public_key`."""
        signing.verify(self.public_key, message(self.manifest_sha256, self.weights_sha256), self.signature)


def message(manifest_sha256: str, weights_sha256: str) -> bytes:
    """The signed bytes."""
    return f"fedrela/v1/bundle\n{manifest_sha256}\n{weights_sha256}\n".encode()


def seal(private_key: str, *, manifest_sha256: str, weights_sha256: str) -> Seal:
    """A publisher's seal over a bundle's manifest and start weights."""
    signature = signing.sign(private_key, message(manifest_sha256, weights_sha256))
    return Seal(manifest_sha256, weights_sha256, signing.public_key(private_key), signature)


def check(sealed: Seal | None, manifest_sha256: str, publishers: Collection[str]) -> None:
    """Raise IntegrityError unless one of `publishers`, by fingerprint, has sealed that manifest."""
    remedy = "nothing was loaded; ask the operator, and enroll again by a link that names the publisher you trust"
    if sealed is None:
        raise IntegrityError("no publisher has signed the program", remedy=remedy)
    if sealed.manifest_sha256 != manifest_sha256:
        raise IntegrityError("the publisher's signature is over another program", remedy=remedy)
    if sealed.publisher() not in publishers:
        raise IntegrityError(
            f"the program's publisher {sealed.publisher()} is not among the publishers of this device's link",
            remedy=remedy,
        )
    sealed.verify()
