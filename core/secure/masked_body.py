"""The body of a masked upload: safetensors with one I32 tensor, `masked`, and in its metadata who masked for whom.

>>> body = to_bytes(np.zeros(2, np.uint32), Header("00" * 32, "11" * 32, "22" * 64))
>>> from_bytes(body, 2)[1].senders_sha256[:4]
'1111'
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from fedrela.core import strict, tensors
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol.limits import Sha256, Signature
from fedrela.core.secure import words_file
from fedrela.core.secure.pads import Words
from fedrela.core.tensors import TensorSpec

ENCODING = "masked"
_PROTOCOL = "1"
_TENSOR = "masked"


@dataclass(frozen=True)
class Header:
    """The metadata beside `protocol` and `encoding`; `signature` is over `statements.masked`."""

    session: Sha256
    senders_sha256: Sha256
    signature: Signature


_TO_COME = Header("0" * 64, "0" * 64, "0" * 128)  # as long as every header


def max_bytes(size: int) -> int:
    """No body of so many words is larger."""
    return 4 * size + 4096


def words_sha256(words: Words) -> str:
    """The hash of masked words as they travel: little-endian."""
    return hashlib.sha256(words.astype("<u4", copy=False).data).hexdigest()


def to_bytes(words: Words, header: Header) -> bytes:
    """The body; the same words and header give the same bytes."""
    return tensors.to_bytes({_TENSOR: words.view(np.int32)}, _metadata(header))


def blank(size: int) -> tuple[bytearray, Words]:
    """A body to be, and its words, (size,), all zero, for what is to be masked: its header comes last (`complete`)."""
    return words_file.new(_TENSOR, size, _metadata(_TO_COME))


def complete(body: bytearray, size: int, header: Header) -> None:
    """Put the header into a body whose words are masked. The bytes are those of `to_bytes`."""
    words_file.finish(body, _TENSOR, size, _metadata(header))


def from_bytes(body: bytes, size: int) -> tuple[Words, Header]:
    """The `size` words of a body, and its header. Raises InvalidTensors or InvalidMessage."""
    arrays = tensors.read(body)
    tensors.check(arrays, (TensorSpec(_TENSOR, (size,), "int32"),))
    metadata = tensors.read_metadata(body)
    if (metadata.pop("protocol", ""), metadata.pop("encoding", "")) != (_PROTOCOL, ENCODING):
        raise InvalidMessage("the body is not a masked one of this protocol", remedy="mask it, as the task says")
    return arrays[_TENSOR].view(np.uint32), strict.build(Header, metadata, InvalidMessage)


def _metadata(header: Header) -> dict[str, str]:
    return {"protocol": _PROTOCOL, "encoding": ENCODING, **vars(header)}
