"""Words in a file that is there before they are: the bytes of any other safetensors file, and one copy of them."""

import tracemalloc

import numpy as np
import pytest

from fedrela.conformance.secure import sessions
from fedrela.core import tensors
from fedrela.core.errors import InvalidTensors
from fedrela.core.secure import masked_body, words_file
from fedrela.core.secure import member as members
from fedrela.core.secure.masked_body import Header

METADATA = {"protocol": "1", "by": "ü"}


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99_999, 100_000])
def test_the_bytes_are_those_of_any_tensors(size):
    numbers = np.arange(size, dtype=np.int32) - 5
    body, words = words_file.new("masked", size, {"protocol": "1", "by": "?"})
    words.view(np.int32)[:] = numbers
    words_file.finish(body, "masked", size, METADATA | {"by": "y"})
    assert body == tensors.to_bytes({"masked": numbers}, METADATA | {"by": "y"})
    assert words_file.view(bytes(body), "masked", METADATA | {"by": "y"}).tolist() == numbers.tolist()


def test_a_header_that_comes_last_gives_the_same_body():
    words, header = np.array([1, 2**32 - 1, 7], np.uint32), Header("ab" * 32, "cd" * 32, "ef" * 64)
    body, inside = masked_body.blank(words.size)
    inside[:] = words
    masked_body.complete(body, words.size, header)
    assert body == masked_body.to_bytes(words, header)


def test_masking_takes_no_memory_but_the_body_s():
    session = sessions.until(sessions.begin(6), "masking", sessions.vectors_of(6), {})
    inbox, vector = session.step(1).inbox, np.arange(2_000_000, dtype=np.int32)
    tracemalloc.start()
    _, body, _ = members.mask(session.members[1], inbox, vector, sessions.identity(1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(body) > vector.nbytes
    assert peak < len(body) + (4 << 20)


def test_what_is_kept_is_read_where_it_lies_and_can_t_be_written():
    kept = tensors.to_bytes({"masked": np.arange(1_000_000, dtype=np.int32)}, METADATA)
    tracemalloc.start()
    words = words_file.view(kept, "masked", METADATA)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert not words.flags.writeable
    assert words[-1] == 999_999


WHOLE = tensors.to_bytes({"masked": np.arange(3, dtype=np.int32)}, METADATA)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        WHOLE[:7],
        WHOLE[:40],
        WHOLE[:-1],
        WHOLE[:-4],
        WHOLE + b"\x00",
        b"\xff" * 8 + WHOLE[8:],
        WHOLE.replace(b"masked", b"MASKED"),
        WHOLE.replace(b"I32", b"F32"),
        WHOLE.replace(b'"protocol":"1"', b'"protocol":"2"'),
    ],
)
def test_other_bytes_are_refused(damaged):
    with pytest.raises(InvalidTensors):
        words_file.view(damaged, "masked", METADATA)
