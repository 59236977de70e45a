"""Vectors for the one message of secure rounds that a device reads: bodies of `SecureStep`, and whether to accept each.

>>> {case["kind"] for case in build()["cases"]}
{'SecureStep'}
"""

import json
from typing import Any

from fedrela.conformance import limit_cases
from fedrela.conformance.secure import sessions
from fedrela.core import strict
from fedrela.core.secure.messages import SecureStep

KIND = "SecureStep"
_PHASES = ("sharing", "masking", "agreeing", "revealing")


def good() -> dict[str, SecureStep]:
    """A step of each kind, of a session of five."""
    vectors = sessions.vectors_of(5)
    steps: dict[str, SecureStep] = {}
    for phase in _PHASES:
        step = sessions.until(sessions.begin(5), phase, vectors, {5: "masking"}).step(1)
        steps[step.step] = step
    return steps | {
        "wait": SecureStep("wait", retry_after_seconds=1.5),
        "done": SecureStep("done", reason="summed"),
        "again": SecureStep("again", reason="too few members in sharing"),
        "closed": SecureStep("closed", reason="too late for this group"),
    }


def build() -> dict[str, Any]:
    """The document secure/messages.json."""
    bodies = {name: json.loads(strict.to_json(step)) for name, step in good().items()}
    cases = [_case(f"good: {name}", body, True) for name, body in bodies.items()]
    for name, body in bodies.items():
        cases += limit_cases.cases(KIND, SecureStep, body, lambda text: strict.from_json(SecureStep, text))
        content = next(key for key, value in body.items() if value is not None and key != "step")
        cases.append(_case(f"{name} without {content}", body | {content: None}, False))
        cases.append(_case(f"{name} and something else", body | _something_else(bodies, content), False))
        cases.append(_case(f"{name} and what is unknown", body | {"surplus": [1]}, True))
    for step, content, items in (
        ("share", "roster", "members"),
        ("mask", "inbox", "sealed"),
        ("agree", "survivors", "proofs"),
        ("reveal", "agreements", "agreements"),
    ):
        listed = bodies[step][content][items]
        for what, changed in (("reversed", listed[::-1]), ("with one twice", [listed[0], *listed])):
            cases.append(_case(f"{step}: {items} {what}", _with(bodies[step], content, items, changed), False))
    cases.append(_case("an unknown step", bodies["wait"] | {"step": "dance"}, False))
    return {"cases": [case for case in cases if len(case["body"]) < 20_000]}


def _something_else(bodies: dict[str, Any], content: str) -> dict[str, Any]:
    """A second content, where one is right."""
    return {"retry_after_seconds": 1.0} if content != "retry_after_seconds" else {"inbox": bodies["mask"]["inbox"]}


def _with(body: dict[str, Any], content: str, items: str, changed: list[Any]) -> dict[str, Any]:
    return body | {content: body[content] | {items: changed}}


def _case(name: str, body: dict[str, Any], valid: bool) -> dict[str, Any]:
    return {"kind": KIND, "name": name, "valid": valid, "body": json.dumps(body)}
