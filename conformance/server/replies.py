"""The bytes of an answer: the usual one, and what a case's script makes of it."""

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedrela.conformance.server.cases import Answer
from fedrela.conformance.server.world import merged

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """An answer on its way. `cut_after`: so many bytes of the body are sent and the connection is closed; -1: all.

    `silent`: nothing at all is sent. `held`: the connection stays open until the client is gone.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    start: int = 0  # of a blob: which byte of it the body begins with
    cut_after: int = -1
    silent: bool = False
    held: bool = False

    def sent_bytes(self) -> int:
        """How much of the body is sent."""
        if self.silent or self.status >= 300:
            return 0
        return len(self.body) if self.cut_after < 0 else min(self.cut_after, len(self.body))


def json_reply(message: Mapping[str, Any], status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status, JSON, json.dumps(message).encode())


def blob_reply(body: bytes, sha256: str, asked: str) -> Reply:
    """A blob or the rest of it."""
    headers = {"Content-Type": "application/octet-stream", "ETag": f'"{sha256}"', "Accept-Ranges": "bytes"}
    match = re.fullmatch(r"bytes=(\d{1,18})-", asked)
    if match is None:
        return Reply(200, headers, body)
    start = int(match[1])
    if start >= len(body):
        return Reply(416, {"Content-Range": f"bytes */{len(body)}"})
    span = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
    return Reply(206, headers | span, body[start:], start)


def scripted(answer: Answer, usual: Reply) -> Reply:
    """What the script makes of the usual answer."""
    if answer.status:
        return Reply(answer.status, answer.headers, answer.body.encode())
    reply = replace(usual, headers={**usual.headers, **answer.headers})
    if answer.members:
        message = merged(json.loads(reply.body), answer.members)
        if message.get("wait") is not None and "wait" in answer.members:
            message.pop("assignment", None)
        reply = replace(reply, body=json.dumps(message).encode())
    return _faulty(answer, replace(reply, body=reply.body + b" " * answer.pad_bytes))


def _faulty(answer: Answer, reply: Reply) -> Reply:
    """The answer with the fault that the script wants; see `Answer`."""
    body, headers, cut_after = reply.body, dict(reply.headers), -1
    match answer.fault:
        case "cut":
            cut_after = answer.keep_bytes
        case "gzip":
            headers["Content-Encoding"], body = "gzip", gzip.compress(body)
        case "elsewhere":
            headers["Content-Range"] = f"bytes 0-{len(body) - 1}/{len(body) + reply.start}"
        case "changed":
            body = body[:-1] + bytes([body[-1] ^ 1])
        case "longer":
            body += b"\0"
    silent, held = answer.fault in ("lost", "killed"), answer.fault == "killed"
    return replace(reply, headers=headers, body=body, cut_after=cut_after, silent=silent, held=held)
