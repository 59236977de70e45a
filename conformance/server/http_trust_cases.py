"""Cases of `http.json` in which somebody else answers, or sends again what the coordinator once said."""

from typing import Any

from fedrela.conformance.server.cases import Answer, Case, Right
from fedrela.conformance.server.world import NEXT_PRIVATE_KEY
from fedrela.core import signing

FORGER = "11" * 32
FAILED = "failure:integrity-failed"


def cases() -> tuple[Case, ...]:
    """All of them."""
    return (*_strangers(), *_replays(), *_restored(), *_rotated())


def _right(*log: str) -> tuple[Right, ...]:
    return (Right(("enroll", *log)),)


def _again(label: str, **values: Any) -> Answer:
    """A second assignment, which differs in this from the first."""
    return Answer(label, members={"assignment": {"assignment_id": "assignment-2", **values}})


def _strangers() -> tuple[Case, ...]:
    stranger = Answer("stranger", members={"coordinator_public_key": signing.public_key(FORGER)})
    return (
        Case(
            "another-key-at-enrollment",
            "The key in the answer is neither the link's nor one that follows it: nothing of it is kept or used.",
            (Right(("enroll:stranger", "keys")),),
            {"enroll": (stranger,)},
        ),
        Case(
            "another-key-at-check-in",
            "A key that doesn't follow the pinned one has signed: the assignment is not looked into.",
            _right("check-in:stranger", "keys", FAILED),
            {"check-in": (Answer("stranger", signed_for={"private_key": FORGER}),)},
        ),
    )


def _replays() -> tuple[Case, ...]:
    others = {"nonce": "ff" * 16, "device_id": "device-2", "population": "another"}
    return tuple(
        Case(
            f"assignment-for-another-{name.partition('_')[0]}",
            f"The signature is good, but for another {name.partition('_')[0]}: the assignment is not looked into.",
            _right("check-in:another", "keys", FAILED),
            {"check-in": (Answer("another", signed_for={name: value}),)},
        )
        for name, value in others.items()
    )


def _restored() -> tuple[Case, ...]:
    first = Answer("first", members={"assignment": {"round": 8, "epoch": 2}})

    def second(name: str, about: str, right: tuple[str, ...], answer: Answer) -> Case:
        return Case(
            name, about, _right("check-in:first", "update", *right), {"check-in": (first, answer)}, update="any"
        )

    refused = ("check-in:again", FAILED)
    return (
        second(
            "older-round",
            "A task's rounds never go back: the assignment is not looked into.",
            refused,
            _again("again", round=7, epoch=2),
        ),
        second(
            "same-round-other-weights",
            "A round has one start: from other weights the assignment is not looked into.",
            refused,
            _again("again", round=8, epoch=2, checkpoint_bytes=1),
        ),
        second(
            "lower-epoch",
            "An epoch that is over doesn't come again: the assignment is not looked into.",
            refused,
            _again("again", round=9, epoch=1),
        ),
        second(
            "higher-epoch",
            "A coordinator that was restored from a backup says so by a new epoch, and begins again at an older round.",
            ("check-in:again", "update"),
            _again("again", round=3, epoch=3),
        ),
    )


def _rotated() -> tuple[Case, ...]:
    rotated = Answer("rotated", signed_for={"private_key": NEXT_PRIVATE_KEY})
    key = Answer("rotated", members={"coordinator_public_key": signing.public_key(NEXT_PRIVATE_KEY)})
    return (
        Case(
            "key-rotated",
            "The pinned key names its successor, which has signed: the client pins that one and goes on.",
            _right("check-in:rotated", "keys", "update"),
            {"check-in": (rotated,)},
        ),
        Case(
            "key-rotated-before-enrollment",
            "The link names a former key, which names the present one: the client pins that one.",
            (Right(("enroll:rotated", "keys", "check-in:rotated", "update")),),
            {"enroll": (key,), "check-in": (rotated,)},
        ),
    )
