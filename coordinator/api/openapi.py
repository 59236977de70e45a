"""The documented API: schemas from the message dataclasses, an example of each, every answer that a route can give."""

import dataclasses
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from fedrela.coordinator.api import messages
from fedrela.core import strict, wire
from fedrela.core.protocol import key_chain
from fedrela.core.protocol.key_chain import KeyChain, KeyRotation
from fedrela.core.protocol.seals import Seal
from fedrela.core.secure import messages as secure_messages
from fedrela.core.secure.messages import (
    RevealedShare,
    SealedShares,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
    SecureStep,
)
from fedrela.core.task import Task

HASH = "0f343b0931126a20f133d67c2b018a3b5b4a4c4ab1b3d7d5e1c9b5f5f6c0a111"
KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
SEAL = Seal(HASH, HASH, KEY, "00" * 64)
ASSIGNMENT = wire.Assignment(
    "a-0123", "t-0123", 3, HASH, HASH, HASH, 401_234, 300.0, 60.0, "upload-token", 1, "<signature>", SEAL
)
EXAMPLES: dict[type, Any] = {
    wire.EnrollRequest: wire.EnrollRequest("enrollment-token", KEY, KEY[:32], "<signature>"),
    wire.EnrollResponse: wire.EnrollResponse("d-0123", "device-token", KEY, "default"),
    wire.CheckIn: wire.CheckIn("default", "python 0.2.0", ("onnx 1.32.0",), KEY[:32]),
    wire.CheckInResponse: wire.CheckInResponse(assignment=ASSIGNMENT),
    KeyChain: KeyChain((KeyRotation(KEY, KEY[::-1], "<signature>"),)),
    wire.UpdateReceipt: wire.UpdateReceipt(3),
    wire.FailureReport: wire.FailureReport("training-failed"),
    wire.EvaluationReport: wire.EvaluationReport(12.5, 90, 100),
    SecureKeys: SecureKeys(KEY, HASH, "00" * 64),
    SecureStep: SecureStep("wait", retry_after_seconds=1.5),
    SecureShares: SecureShares(HASH, HASH, (SealedShares(2, "00" * 80), SealedShares(3, "11" * 80))),
    SecureAgreement: SecureAgreement(1, HASH, "00" * 64),
    SecureReveal: SecureReveal(HASH, (RevealedShare(1, HASH),), (RevealedShare(2, HASH),)),
    wire.Problem: wire.Problem(
        "Conflict", 409, "lease-expired", "the lease of this assignment is over", "drop this update and check in again"
    ),
    messages.PublishRequest: messages.PublishRequest(Task("digits", 20), SEAL, HASH),
    messages.PublishResponse: messages.PublishResponse("t-0123"),
    messages.RollbackRequest: messages.RollbackRequest(7),
    messages.RollbackResponse: messages.RollbackResponse(12),
    messages.ServerResponse: messages.ServerResponse(dev=False),
    messages.AccuracyReport: messages.AccuracyReport(0.861, 1000, many=0.964, medium=0.944, few=0.647),
    messages.TokenRequest: messages.TokenRequest(max_uses=12),
    messages.ClockRequest: messages.ClockRequest(60.0),
    messages.CollectRequest: messages.CollectRequest(),
    messages.BlobReceipt: messages.BlobReceipt(HASH, 401_234),
}
SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "device": [{"deviceToken": []}],
    "admin": [{"adminKey": []}],
    "any": [{"deviceToken": []}, {"adminKey": []}],
}
DESCRIPTIONS = {
    400: "A malformed header, parameter or message",
    401: "No valid credentials",
    403: "Not allowed",
    404: "Not there, or not yours",
    408: "The body came too slowly",
    409: "Not possible in the present state",
    411: "Content-Length is missing",
    413: "Too large",
    415: "A compressed body",
    416: "Range outside the blob",
    429: "Too many requests",
    431: "Too many header bytes",
    503: "Not now; try again",
}
COMMON = (400, 429, 431, 503)
OF_DEVICES = (wire, key_chain, secure_messages)  # where messages between devices and the coordinator are
BYTES = {"schema": {"type": "string", "format": "binary"}}


def route(
    *,
    security: str = "",
    takes: type | str | None = None,
    gives: type | str | dict[str, Any] | None = None,
    status: int = 200,
    problems: tuple[int, ...] = (),
    also: dict[int, str] | None = None,
    or_text: str = "",
) -> dict[str, Any]:
    """Keyword arguments for a route's decorator.

    `takes` and `gives` are a message type, a media type or a schema; `or_text` is a media type that it may give too.
    """
    extra: dict[str, Any] = {}
    if security:
        extra["security"] = SECURITY[security]
        problems = (401, *problems)
    if takes is not None:
        extra["requestBody"] = {"required": True, "content": _content(takes)}
        problems = (408, 413, 415, *problems)
    responses: dict[int | str, dict[str, Any]] = {status: {"description": "Done"}}
    if gives is not None:
        responses[status]["content"] = _content(gives)
        if or_text:
            responses[status]["content"][or_text] = {"schema": {"type": "string"}}
    for code, text in (also or {}).items():
        responses[code] = {"description": text}
    for code in sorted({*COMMON, *problems}):
        responses[code] = {"description": DESCRIPTIONS[code], "content": _content(wire.Problem, wire.PROBLEM_TYPE)}
    return {"openapi_extra": extra, "responses": responses, "status_code": status, "response_model": None}


def _content(what: type | str | dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    if what == wire.TENSORS_TYPE:  # what it is, and the type that every tool can send
        return {wire.TENSORS_TYPE: BYTES, "application/octet-stream": BYTES}
    if isinstance(what, str):
        return {what: BYTES}
    if isinstance(what, dict):
        return {media: {"schema": what}}
    example = json.loads(strict.to_json(EXAMPLES[what]))
    return {media: {"schema": {"$ref": f"#/components/schemas/{what.__name__}"}, "example": example}}


def install(app: FastAPI) -> None:
    """Make `app.openapi()` return the document, built once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            built = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for path in built["paths"].values():
                for operation in path.values():
                    operation["responses"].pop("422", None)  # FastAPI's own form, which no route of ours gives
            components = built.setdefault("components", {})
            components["schemas"] = _schemas()
            components["securitySchemes"] = {
                name: {"type": "http", "scheme": "bearer"} for name in ("deviceToken", "adminKey")
            }
            app.openapi_schema = built
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _schemas() -> dict[str, Any]:
    """JSON schemas of every message and what it holds. Between devices and the coordinator other keys are ignored,
    since either may be the newer one; in an operator's messages they are refused, since they are mistakes.
    """
    inputs = [(cls, "validation", TypeAdapter(cls)) for cls in EXAMPLES if dataclasses.is_dataclass(cls)]
    _, definitions = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Any] = definitions["$defs"]
    for name, schema in schemas.items():
        if schema.get("type") == "object":
            schema["additionalProperties"] = any(hasattr(of_devices, name) for of_devices in OF_DEVICES)
    return schemas
