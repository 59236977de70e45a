"""Messages survive JSON, and hold no member twice."""

import pytest

from fedrela.conformance.secure import sessions
from fedrela.core import strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.secure.messages import Roster, SealedShares, SecureReveal, SecureShares, SecureStep

BOX, SHARE = "00" * 80, {"index": 1, "share": "00" * 32}


def test_every_step_of_a_session_survives_json():
    session, vectors = sessions.begin(5), sessions.vectors_of(5)
    seen = set()
    for phase in ("sharing", "masking", "agreeing", "revealing", "summing"):
        sessions.until(session, phase, vectors, {})
        step = session.step(1)
        assert strict.from_json(SecureStep, strict.to_json(step)) == step
        seen.add(step.step)
    assert seen == {"share", "mask", "agree", "reveal", "done"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (SecureShares, {"session": "00" * 32, "commitment": "00" * 32, "sealed": [{"index": 2, "box": BOX}] * 2}),
        (SecureShares, {"session": "00" * 32, "commitment": "00" * 32, "sealed": [{"index": 0, "box": BOX}]}),
        (SecureShares, {"session": "00" * 32, "commitment": "00" * 32, "sealed": [{"index": 65, "box": BOX}]}),
        (SecureShares, {"session": "00" * 32, "commitment": "00" * 32, "sealed": [{"index": 2, "box": BOX[2:]}]}),
        (SecureReveal, {"session": "00" * 32, "own": [SHARE], "pair": [SHARE]}),
        (SecureReveal, {"session": "00" * 32, "own": [{**SHARE, "index": 2}, SHARE], "pair": []}),
        (Roster, {"threshold": 4, "members": []}),
        (SecureStep, {"step": "share"}),
        (SecureStep, {"step": "wait", "retry_after_seconds": 1, "reason": "x"}),
        (SecureStep, {"step": "done"}),
        (SecureStep, {"step": "wait", "reason": "x"}),
    ],
)
def test_malformed_messages_are_refused(kind, values):
    with pytest.raises(InvalidMessage):
        strict.build(kind, values, InvalidMessage)


def test_the_order_of_members_is_the_ascending_one():
    boxes = (SealedShares(2, BOX), SealedShares(3, BOX))
    assert SecureShares("00" * 32, "00" * 32, boxes).sealed == boxes
    with pytest.raises(InvalidMessage, match="ascending"):
        SecureShares("00" * 32, "00" * 32, boxes[::-1])
