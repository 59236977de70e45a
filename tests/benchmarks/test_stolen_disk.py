"""The attack on a stolen disk does what it says: it takes pads off, and finds what is there."""

import numpy as np

from benchmarks.secure import searched_disk, stolen_disk
from benchmarks.secure.stolen_disk import StolenGroup
from fedrela.conformance.secure import sessions

MEMBERS, LOST = 7, 3


def test_pads_come_off_with_what_was_revealed_and_all_others_keys_and_with_one_less_none_can_be_read() -> None:
    vectors = sessions.vectors_of(MEMBERS)
    session = sessions.until(sessions.begin(MEMBERS), "summing", vectors, {LOST: "masking"})
    stolen = stolen_disk.own_pads_off(StolenGroup(session.group, session.words, {}))
    others = len(session.group.survivors) - 1
    keys = {index: sessions.secrets_of(index).mask_key for index in session.group.survivors}
    for index, words in stolen_disk.colluding(stolen, keys, others).words.items():
        assert words.view(np.int32).tolist() == vectors[index - 1].tolist()
    for index, words in stolen_disk.colluding(stolen, keys, others - 1).words.items():
        assert not np.any(words.view(np.int32) == vectors[index - 1])
    assert set(session.words) == set(stolen.words), "what was stolen stays as it was"


def test_what_is_searched_for_is_found_wherever_it_begins() -> None:
    there, not_there = [bytes(range(start, start + 20)) for start in (1, 50, 100)], [bytes(range(1, 9)) + bytes(12)]
    everything = b"\0" * 3 + there[0] + b"x" * 5 + there[1] + there[2]
    assert searched_disk.present(everything, there + not_there) == set(there)
