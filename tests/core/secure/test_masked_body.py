"""A masked body is read back, or refused."""

import numpy as np
import pytest

from fedrela.core import tensors
from fedrela.core.errors import InvalidInput, InvalidMessage, InvalidTensors
from fedrela.core.secure import masked_body
from fedrela.core.secure.masked_body import Header

WORDS = np.array([1, 2**32 - 1], np.uint32)
HEADER = Header("00" * 32, "11" * 32, "22" * 64)
METADATA = {"protocol": "1", "encoding": "masked", **vars(HEADER)}


def test_words_and_header_come_back_and_no_number_of_examples_is_there():
    body = masked_body.to_bytes(WORDS, HEADER)
    words, header = masked_body.from_bytes(body, 2)
    assert words.tolist() == WORDS.tolist()
    assert header == HEADER
    assert b"examples" not in body


@pytest.mark.parametrize(
    "changed",
    [{"protocol": "2"}, {"encoding": "float32"}, {"session": "00"}, {"examples": "7"}, {"signature": "ZZ" * 64}],
)
def test_another_header_is_refused(changed):
    body = tensors.to_bytes({"masked": WORDS.view(np.int32)}, {**METADATA, **changed})
    with pytest.raises(InvalidMessage):
        masked_body.from_bytes(body, 2)


@pytest.mark.parametrize("missing", METADATA)
def test_a_header_without_a_key_is_refused(missing):
    rest = {key: value for key, value in METADATA.items() if key != missing}
    with pytest.raises(InvalidInput):
        masked_body.from_bytes(tensors.to_bytes({"masked": WORDS.view(np.int32)}, rest), 2)


@pytest.mark.parametrize("arrays", [{}, {"masked": np.zeros(3, np.int32)}, {"masked": np.zeros(2, np.float32)}])
def test_other_tensors_are_refused(arrays):
    with pytest.raises(InvalidTensors):
        masked_body.from_bytes(tensors.to_bytes(arrays, METADATA), 2)
