"""What malicious devices send, beside float weights: labels, integers, positions, the edges of a lie."""

import numpy as np
import pytest

from fedrela.core import strict, tensors
from fedrela.core.secure.messages import RevealedShare, SecureReveal
from fedrela.edge.secure import vector
from fedrela.emulator.devices.malicious import Attacker, labels
from fedrela.emulator.scenario import MaliciousClass

METADATA = {"protocol": "1", "examples": "3", "encoding": "int8"}


def sent(
    attack: str, factor: float, arrays: dict[str, np.ndarray], examples: str = "3"
) -> tuple[dict[str, np.ndarray], str]:
    """What arrives, and the number of examples that it claims."""
    body = tensors.to_bytes(arrays, METADATA | {"examples": examples})
    changed = Attacker(MaliciousClass(attack, 1.0, factor), seed=0, device=0).tamper(body)  # type: ignore[arg-type]
    return tensors.read(changed), tensors.read_metadata(changed)["examples"]


def test_flipped_labels_mirror_the_classes_and_twice_is_honest() -> None:
    y, flip = np.array([0, 1, 3]), MaliciousClass("label-flip", 1.0)
    assert labels(y, flip, 4).tolist() == [3, 2, 0]
    assert labels(labels(y, flip, 4), flip, 4).tolist() == y.tolist() == labels(y, None, 4).tolist()
    assert labels(y, MaliciousClass("nan", 1.0), 4).tolist() == y.tolist()


def test_a_label_flipper_sends_what_it_trained() -> None:
    assert Attacker(MaliciousClass("label-flip", 1.0), 0, 0).tamper(b"an update") == b"an update"


@pytest.mark.parametrize(
    ("attack", "factor", "expected"),
    [("scale", 2.0, [100, -127, 127]), ("sign-flip", 1.0, [-50, 100, -127]), ("nan", 10.0, [-50, 100, -127])],
)
def test_integers_saturate_symmetrically(attack: str, factor: float, expected: list[int]) -> None:
    arrays, _ = sent(attack, factor, {"w": np.array([50, -100, 127], np.int8)})
    assert arrays["w"].dtype == np.int8
    assert arrays["w"].tolist() == expected


def test_the_positions_of_a_top_k_update_stay() -> None:
    values, indices = np.array([1.5, -2], np.float32), np.array([4, 9], np.int32)
    arrays, _ = sent("scale", 10.0, {"w.values": values, "w.indices": indices})
    assert arrays["w.indices"].tolist() == [4, 9]
    assert arrays["w.values"].tolist() == [15, -20]


def test_half_precision_keeps_its_dtype_and_overflows_to_infinity() -> None:
    arrays, _ = sent("scale", 100.0, {"w": np.array([1, 60000], np.float16)})
    assert arrays["w"].dtype == np.float16
    assert arrays["w"].tolist() == [100, np.inf]


@pytest.mark.parametrize(("factor", "claimed"), [(2.5, "7"), (0.01, "1"), (1e12, "999999999")])
def test_a_lie_is_a_whole_number_that_the_protocol_can_carry(factor: float, claimed: str) -> None:
    arrays, examples = sent("lie-about-examples", factor, {"w": np.array([1, 2], np.int8)})
    assert (examples, arrays["w"].tolist()) == (claimed, [1, 2])


@pytest.mark.parametrize("size", [1, 3, 4, 65])
def test_garbage_has_the_size_of_the_update_and_repeats_by_seed_and_device(size: int) -> None:
    garbage = MaliciousClass("garbage", 1.0)
    bodies = [Attacker(garbage, seed, device).tamper(bytes(size)) for seed, device in ((1, 2), (1, 2), (1, 3), (2, 2))]
    assert [len(body) for body in bodies] == [size] * 4
    assert bodies[0] == bodies[1]
    assert size < 65 or len(set(bodies)) == 3


def hidden(attack: str, words: list[int]) -> list[int]:
    """The vector that an attacker hides in a group."""
    attacker = Attacker(MaliciousClass(attack, 1.0, 3.0), seed=0, device=0)  # type: ignore[arg-type]
    kept = vector.to_bytes(np.array(words, np.int32))
    return [int(word) for word in vector.vector_from(attacker.tamper_vector(kept))]


def test_vectors_are_changed_before_anything_of_them_is_hidden() -> None:
    assert hidden("scale", [1, -2, 2**29]) == [3, -6, 2**29]
    assert hidden("sign-flip", [1, -2, 2**29]) == [-3, 6, -(2**29)]
    assert hidden("huge-update", [1, -2]) == hidden("nan", [1, -2]) == [2**29, 2**29]
    assert hidden("garbage", [1, -2]) == hidden("garbage", [7, 7])
    assert hidden("label-flip", [1, -2]) == hidden("wrong-share", [1, -2]) == [1, -2]


def test_a_liar_s_shares_differ_in_every_place_and_keys_come_again() -> None:
    reveal = SecureReveal("00" * 32, (RevealedShare(1, "a0" * 32),), (RevealedShare(2, "b1" * 32),))
    body = strict.to_json(reveal)
    liar = Attacker(MaliciousClass("wrong-share", 1.0), 0, 0)
    told = strict.from_json(SecureReveal, liar.tamper_in_group("reveal", body))
    assert (told.own[0].share, told.pair[0].share) == ("b0" + "a0" * 31, "a1" + "b1" * 31)
    assert liar.tamper_in_group("shares", body) == body
    repeater = Attacker(MaliciousClass("replay-keys", 1.0), 0, 0)
    assert repeater.tamper_in_group("keys", b"first") == repeater.tamper_in_group("keys", b"second") == b"first"
