"""What malicious devices do to their data and their updates. The device's own client knows nothing of it.

>>> attacker = Attacker(MaliciousClass("sign-flip", share=1.0, factor=1.0), seed=0, device=0)
>>> body = tensors.to_bytes({"w": np.float32([1, -2])}, {"protocol": "1", "examples": "3", "encoding": "float32"})
>>> tensors.read(attacker.tamper(body))["w"]
array([-1.,  2.], dtype=float32)
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedrela.core import strict, tensors
from fedrela.core.secure.messages import RevealedShare, SecureReveal
from fedrela.core.streams import derive, words
from fedrela.core.tensors import Array
from fedrela.edge.secure import vector
from fedrela.emulator.scenario import MaliciousClass

_SECRET = b"fedrela emulator"
_HUGE = 2**29  # in each word of a vector: far beyond what any clipped one holds


def labels(y: NDArray[np.int64], malicious: MaliciousClass | None, classes: int) -> NDArray[np.int64]:
    """The labels that a device trains on: label-flip turns class c into classes - 1 - c; all others are honest here."""
    return classes - 1 - y if malicious is not None and malicious.attack == "label-flip" else y


@dataclass
class Attacker:
    """One malicious device: its attack, and the first honest update it made, which a replay sends for ever."""

    malicious: MaliciousClass
    seed: int
    device: int
    first_body: bytes = b""
    first_keys: bytes = b""

    def tamper(self, body: bytes) -> bytes:
        """The update that is sent instead of `body`, an honest one. The same in, the same out."""
        attack, factor = self.malicious.attack, self.malicious.factor
        self.first_body = self.first_body or body
        if attack == "replay":
            return self.first_body
        if attack == "garbage":
            return words(derive(_SECRET, self.seed, "garbage", self.device), -(-len(body) // 4)).tobytes()[: len(body)]
        if attack == "lie-about-examples":
            metadata = tensors.read_metadata(body)
            metadata["examples"] = str(min(max(int(int(metadata["examples"]) * factor), 1), 999_999_999))
            return tensors.to_bytes(tensors.read(body), metadata)
        scales = {"sign-flip": -factor, "scale": factor, "nan": float("nan")}
        if attack not in scales:
            return body
        changed = {name: _scaled(name, array, scales[attack]) for name, array in tensors.read(body).items()}
        return tensors.to_bytes(changed, tensors.read_metadata(body))

    def tamper_in_group(self, kind: str, body: bytes) -> bytes:
        """A message of a group that is sent instead of `body`."""
        if kind == "keys":
            self.first_keys = self.first_keys or body
            return self.first_keys if self.malicious.attack == "replay-keys" else body
        if kind == "reveal" and self.malicious.attack == "wrong-share":
            return strict.to_json(_with_wrong_shares(strict.from_json(SecureReveal, body)))
        return body

    def tamper_vector(self, kept: bytes) -> bytes:
        """The vector that is hidden instead of an honest one, in the bytes in which a device keeps it."""
        attack, honest = self.malicious.attack, vector.vector_from(kept)
        self.first_body = self.first_body or kept
        if attack == "replay":
            return self.first_body
        if attack == "garbage":
            stream = derive(_SECRET, self.seed, "garbage", self.device)
            return vector.to_bytes(words(stream, len(honest)).view(np.int32))
        if attack in ("huge-update", "nan"):
            return vector.to_bytes(np.full_like(honest, _HUGE))
        scales = {"sign-flip": -self.malicious.factor, "scale": self.malicious.factor}
        changed = honest * scales.get(attack, 1.0)
        return vector.to_bytes(np.clip(changed, -_HUGE, _HUGE).astype(np.int32))


def _with_wrong_shares(reveal: SecureReveal) -> SecureReveal:
    """Every share with one bit flipped."""

    def flipped(shares: tuple[RevealedShare, ...]) -> tuple[RevealedShare, ...]:
        return tuple(replace(one, share=f"{int(one.share[0], 16) ^ 1:x}{one.share[1:]}") for one in shares)

    return replace(reveal, own=flipped(reveal.own), pair=flipped(reveal.pair))


def _scaled(name: str, array: Array, factor: float) -> Array:
    """`factor * array` in its dtype; integers saturate, and the positions of a top-k update stay."""
    if name.endswith(".indices"):
        return array
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(array * np.asarray(factor, array.dtype), array.dtype)
    limits = np.iinfo(array.dtype)
    finite = -1.0 if np.isnan(factor) else factor
    return np.clip(np.round(array * finite), limits.min + 1, limits.max).astype(array.dtype)
