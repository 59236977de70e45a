"""`http.json`: what a scripted coordinator does, and what a client must do then. See `fedrela.conformance.server`.

>>> build()["cases"][0]["name"]
'plain-round'
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args

from fedrela.conformance.server import http_fault_cases, http_trust_cases
from fedrela.conformance.server.cases import Answer, Case, Pause, Right, without_defaults
from fedrela.core.wire import PROBLEM_TYPE, WaitReason

WAITS: tuple[WaitReason, ...] = get_args(WaitReason)
LATER = {"later": {"deep": [1, {"x": None}]}}
LOGIN = "<html><body>Welcome to our network. Please log in.</body></html>"


def build() -> dict[str, Any]:
    """The document http.json."""
    cases = (
        *_ordinary(),
        *_repeated(),
        *_paced(),
        *_portals(),
        *_refused(),
        *http_fault_cases.cases(),
        *http_trust_cases.cases(),
    )
    return {"cases": [without_defaults(case) for case in cases]}


def problem(status: int, code: str, **members: Any) -> Answer:
    """A refusal with a problem document."""
    body = {"title": "No", "status": status, "code": code, "detail": "as the case wants it", "remedy": "none"}
    return Answer(str(status), status, {"Content-Type": PROBLEM_TYPE}, json.dumps({**body, **members}))


def right(*log: str, who: str = "") -> Right:
    """A right outcome: the enrollment and then these requests."""
    return Right(("enroll", *log), who)


def _wait(reason: str, seconds: float) -> Answer:
    return Answer(reason, members={"wait": {"retry_after_seconds": seconds, "reason": reason}})


def _ordinary() -> tuple[Case, ...]:
    asked = tuple(f"check-in:{reason}" for reason in WAITS)
    later = Answer("later", members=LATER)
    waiting = Answer(
        "wait-later", members={"wait": {"retry_after_seconds": 0.1, "reason": "no-task", **LATER}, **LATER}
    )
    return (
        Case("plain-round", "Enroll, check in, fetch, train, upload.", (right("check-in", "update"),)),
        Case(
            "wait-known-reasons",
            "Check in again after a wait, whatever its reason.",
            (right(*asked, "check-in", "update"),),
            {"check-in": tuple(_wait(reason, 0.1) for reason in WAITS)},
        ),
        Case(
            "wait-unknown-reason",
            "A reason that the client doesn't know means: come back later, after so many seconds.",
            (right("check-in:full-moon", "check-in", "update"),),
            {"check-in": (_wait("full-moon", 1.0),)},
            pauses=(Pause("check-in:full-moon", 1.0),),
        ),
        Case(
            "unknown-members",
            "Members that the client doesn't know are ignored in every answer, in the task and in the manifest.",
            (Right(("enroll:later", "check-in:wait-later", "check-in:later", "update:later")),),
            {
                "enroll": (later,),
                "check-in": (waiting, Answer("later", members={"assignment": LATER, **LATER})),
                "update": (later,),
            },
            task={**LATER, "local": LATER, "round": LATER},
            manifest=((("later",), [1]), (("train_step", "inputs", 0, "later"), 1), (("golden", "later"), {})),
        ),
    )


def _repeated() -> tuple[Case, ...]:
    about = "HTTP {} is answered with the same request again, after a pause."
    statuses = tuple(
        Case(
            f"repeated-{status}",
            about.format(status),
            (right(f"check-in:{status}", "check-in", f"update:{status}", "update"),),
            {"check-in": (problem(status, "busy"),), "update": (problem(status, "busy"),)},
        )
        for status in (400, 408, 422, 425, 429, 500, 502, 503, 504)
    )
    other = Answer("protocol-2", members={"protocol": 2})
    return (
        *statuses,
        Case(
            "protocol-2",
            "An answer of another protocol is refused; it is asked for again, as any that doesn't parse.",
            (Right(("enroll:protocol-2", "enroll", "check-in:protocol-2", "check-in", "update:protocol-2", "update")),),
            {"enroll": (other,), "check-in": (other,), "update": (other,)},
        ),
        Case(
            "answer-lost",
            "A connection that is closed before the answer: the same request again. An enrollment keeps its key.",
            (Right(("enroll:lost", "enroll", "check-in:lost", "check-in", "update")),),
            {"enroll": (Answer("lost", fault="lost"),), "check-in": (Answer("lost", fault="lost"),)},
        ),
        Case(
            "answer-cut",
            "An answer that breaks off is no answer: the same request again.",
            (right("check-in:cut", "check-in", "update"),),
            {"check-in": (Answer("cut", fault="cut", keep_bytes=40),)},
        ),
        Case(
            "answer-gzip",
            "No answer is compressed unless the client asked for it.",
            (
                right("check-in:gzip", "check-in", "update", who="clients that decide on it: it doesn't parse"),
                right("check-in:gzip", "update", who="clients whose HTTP library always unpacks, as a browser's"),
            ),
            {"check-in": (Answer("gzip", fault="gzip"),)},
        ),
        Case(
            "answer-too-long",
            "A JSON answer of more than 1 000 000 bytes is refused, and asked for again.",
            (right("check-in:too-long", "check-in", "update"),),
            {"check-in": (Answer("too-long", pad_bytes=1_100_000),)},
        ),
        Case(
            "update-lost",
            "The update is stored and the answer lost: the same bytes again, and the receipt says duplicate.",
            (right("check-in", "update:lost", "update"),),
            {"update": (Answer("lost", fault="lost"),)},
        ),
    )


def _paced() -> tuple[Case, ...]:
    def busy(wish: str) -> Mapping[str, tuple[Answer, ...]]:
        refusal = problem(429, "too-many-requests")
        return {"check-in": (dataclasses.replace(refusal, headers={**refusal.headers, "Retry-After": wish}),)}

    log = (right("check-in:429", "check-in", "update"),)
    return (
        Case(
            "retry-after",
            "Retry-After, in whole seconds, is honored.",
            log,
            busy("5"),
            pauses=(Pause("check-in:429", 5.0, 60.0),),
        ),
        Case(
            "retry-after-date",
            "Retry-After in another form is as if it weren't there.",
            log,
            busy("Fri, 31 Dec 2099 23:59:59 GMT"),
            pauses=(Pause("check-in:429", 0.0, 60.0),),
        ),
        Case(
            "retry-after-capped",
            "No coordinator can put an attempt off for more than 300 seconds.",
            log,
            busy("86400"),
            pauses=(Pause("check-in:429", 300.0, 300.0),),
            slow=True,
        ),
    )


def _portals() -> tuple[Case, ...]:
    strangers = {
        200: "a page instead of an answer",
        302: "a redirect to a log-in page, which is not followed",
        401: "a refusal without a problem document, so the enrollment stands",
        403: "a refusal without a problem document",
        511: "network authentication required",
    }
    cases = []
    for status, what in strangers.items():
        headers = {"Content-Type": "text/html"}
        if status == 302:
            headers["Location"] = f"/at/portal-{status}/login"
        portal = Answer("portal", status, headers, LOGIN)
        asked = ("check-in:portal", "check-in", "blob:checkpoint:portal", "blob:checkpoint")
        cases.append(
            Case(
                f"portal-{status}",
                f"A captive portal answers: {what}. The assignment is kept, and goes on once the portal is gone.",
                (right(*asked, "update:portal", "update:portal", "update"),),
                {"check-in": (portal,), "blob:checkpoint": (portal,), "update": (portal, portal)},
            )
        )
    return tuple(cases)


def _refused() -> tuple[Case, ...]:
    gone = problem(401, "unauthenticated")
    over = dataclasses.replace(problem(409, "lease-expired"), closes=True)
    instance = dataclasses.replace(problem(409, "round-closed", instance="/v1/x", **LATER), closes=True)
    missing = dataclasses.replace(problem(404, "unknown-blob"), closes=True)
    dropped = "the assignment is dropped without a failure report."
    return (
        Case(
            "unauthenticated-at-check-in",
            "401 with a problem document: the enrollment is gone. Nothing more is sent.",
            (right("check-in:401"),),
            {"check-in": (gone,)},
        ),
        Case(
            "unauthenticated-at-update",
            "401 with a problem document: the enrollment is gone. Nothing more is sent.",
            (right("check-in", "update:401"),),
            {"update": (gone,)},
        ),
        Case(
            "update-refused",
            f"The coordinator says that the lease is over, whatever the client's clock says: {dropped}",
            (right("check-in", "update:409"),),
            {"update": (over,)},
        ),
        Case(
            "problem-with-instance",
            f"A problem document may hold what RFC 9457 allows. It is one: {dropped}",
            (right("check-in", "update:409"),),
            {"update": (instance,)},
        ),
        Case(
            "blob-refused",
            f"The coordinator has no such blob: {dropped}",
            (right("check-in", "blob:checkpoint:404"),),
            {"blob:checkpoint": (missing,)},
        ),
    )
