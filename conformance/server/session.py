"""One case being played: which answer comes next, what was asked so far, and the verdict on it. Safe for threads."""

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any

from fedrela.conformance.server import checks
from fedrela.conformance.server.cases import Answer, Case
from fedrela.conformance.server.checks import Request
from fedrela.conformance.server.replies import JSON, Reply, blob_reply, json_reply, scripted
from fedrela.conformance.server.world import DEVICE_ID, DEVICE_TOKEN, KEYS, POPULATION, PUBLIC_KEY, World, make, signed
from fedrela.core import strict

FINISHED = "check-in:finished"  # nothing is left to do: how often that is asked for is nobody's business
ROUTES = (
    ("POST", r"/v1/devices", "enroll"),
    ("POST", r"/v1/check-ins", "check-in"),
    ("GET", r"/v1/blobs/([0-9a-f]{64})", "blob"),
    ("PUT", r"/v1/assignments/([A-Za-z0-9_-]+)/update", "update"),
    ("POST", r"/v1/assignments/([A-Za-z0-9_-]+)/failure", "failure"),
    ("POST", r"/v1/assignments/([A-Za-z0-9_-]+)/evaluation", "evaluation"),
    ("DELETE", r"/v1/devices/self", "leave"),
    ("GET", r"/v1/keys", "keys"),
)


@dataclass(frozen=True)
class Entry:
    """One line of the log, and when it was written (monotonic seconds)."""

    text: str
    at: float


@dataclass
class Session:
    """A case under way. `handle` answers a request; `verdict` judges what has happened so far.

    `hurry`: by how much the client shortens its pauses. `earlier`: updates of cases that were played before.
    """

    case: Case
    hurry: float = 1.0
    earlier: Mapping[str, bytes] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    updates: dict[str, bytes] = field(default_factory=dict)  # assignment id -> the body that came first
    kill_now: bool = False
    assigned_at: float = 0.0
    _used: dict[str, int] = field(default_factory=dict)  # scripted answers by kind of request
    _assignment_id: str = ""  # of the one that is open
    _closed: bool = False
    _public_key: str = ""
    _sent_bytes: dict[str, int] = field(default_factory=dict)  # of a blob, at most
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.world: World = make(self.case)

    def handle(self, request: Request) -> Reply:
        """The answer to one request."""
        with self._lock:
            kind, name = self._kind(request)
            answer = self._next(kind)
            text = self._text(kind, name, request, answer)
            self.faults += checks.faults(kind, request, self._public_key) if kind != "elsewhere" else []
            reply = self._carry_out(kind, name, request, answer) if answer.status == 0 else Reply(answer.status)
            reply = scripted(answer, reply)
            if text:
                self.log.append(Entry(text, request.at))
            if kind.startswith("blob:"):
                self._sent_bytes[kind] = max(self._sent_bytes.get(kind, 0), reply.start + reply.sent_bytes())
            self.kill_now |= answer.fault == "killed"
            self._closed |= answer.closes
            return reply

    def verdict(self) -> dict[str, Any]:
        """`state`: passed, failed, or pending while what happened so far is the beginning of a right outcome."""
        with self._lock:
            entries = list(self.log)
            faults = [*self.faults, *self._pause_faults(entries)]
        said = tuple(entry.text for entry in entries)
        while said and said[-1] == FINISHED:
            said = said[:-1]
        state, rights = "failed", [right.log for right in self.case.right]
        if not faults and said in rights:
            state = "passed"
        elif not faults and any(right[: len(said)] == said for right in rights):
            state = "pending"
        elif not faults:
            faults = [f"the requests were {', '.join(said)}; right is {' or '.join(', '.join(log) for log in rights)}"]
        return {"case": self.case.name, "state": state, "faults": faults, "log": list(said), "kill_now": self.kill_now}

    def killed(self) -> float:
        """The client is dead. How many seconds to wait before it is started again."""
        self.kill_now = False
        again = self.case.start_again_seconds
        return max(0.0, self.assigned_at + again - time.monotonic()) if again else 0.0

    def _kind(self, request: Request) -> tuple[str, str]:
        """What is asked for, and the name in the path."""
        for method, pattern, kind in ROUTES:
            match = re.fullmatch(pattern, request.path) if request.method == method else None
            if match and kind == "blob":
                return "blob:" + self.world.blobs.get(match[1], ("unknown", b""))[0], match[1]
            if match:
                return kind, match[1] if match.groups() else ""
        self.faults.append(f"nobody asks for {request.method} {request.path}")
        return "elsewhere", request.path

    def _next(self, kind: str) -> Answer:
        answers, used = self.case.script.get(kind, ()), self._used.get(kind, 0)
        self._used[kind] = used + 1
        return answers[used] if used < len(answers) else Answer()

    def _text(self, kind: str, name: str, request: Request, answer: Answer) -> str:
        """The line for the log; empty for downloads, unless the case is about them."""
        if kind.startswith("blob:") and kind not in self.case.script:
            return ""
        text = kind
        if kind == "check-in" and self._closed and not answer.label:
            return FINISHED
        if kind == "failure":
            code = re.search(rb'"code":\s*"([a-z-]+)"', request.body)
            text = f"failure:{code[1].decode() if code else '?'}"
        if kind in ("update", "failure", "evaluation") and name != self._assignment_id:
            text += ":unknown-assignment"
        if kind.startswith("blob:") and "range" in request.headers:
            text += ":range"
            start = re.sub(r"[^0-9]", "", request.headers["range"]) or "0"
            if not 0 < int(start) <= self._sent_bytes.get(kind, 0):
                self.faults.append(f"{kind}: it goes on from byte {start}, which it hasn't got")
        return text + (f":{answer.label}" if answer.label else "")

    def _carry_out(self, kind: str, name: str, request: Request, answer: Answer) -> Reply:
        """What a coordinator does and answers."""
        if kind == "enroll":
            return self._enroll(request)
        if kind == "check-in":
            return self._check_in(request, answer)
        if kind == "keys":
            return Reply(200, JSON, strict.to_json(KEYS))
        if kind.startswith("blob:"):
            asked = "" if answer.fault == "whole" else request.headers.get("range", "")
            return blob_reply(self.world.blobs.get(name, ("", b""))[1], name, asked)
        if kind == "update":
            return self._update(name, request.body)
        self._closed |= kind == "failure"
        return Reply(404 if kind == "elsewhere" else 204)

    def _enroll(self, request: Request) -> Reply:
        key = re.search(rb'"public_key":\s*"([0-9a-f]*)"', request.body)
        if key is not None and self._public_key not in ("", key[1].decode()):
            self.faults.append("enroll: it was repeated with another public_key")
        self._public_key = key[1].decode() if key is not None else ""
        answer = {
            "device_id": DEVICE_ID,
            "device_token": DEVICE_TOKEN,
            "coordinator_public_key": PUBLIC_KEY,
            "population": POPULATION,
        }
        return json_reply({**answer, "protocol": 1}, 201)

    def _check_in(self, request: Request, answer: Answer) -> Reply:
        if self._closed and not answer.label:
            return json_reply({"wait": {"retry_after_seconds": 3600, "reason": "finished"}, "protocol": 1})
        another = answer.members.get("assignment", {}).get("assignment_id", "")
        self._assignment_id = another or self._assignment_id or str(self.world.assignment["assignment_id"])
        self._closed = False
        self.assigned_at = self.assigned_at or time.monotonic()
        nonce = re.search(rb'"nonce":\s*"([0-9a-f]*)"', request.body)
        over = answer.members.get("assignment", {})
        values = {**self.world.assignment, "assignment_id": self._assignment_id, **over}
        made = signed(values, nonce[1].decode() if nonce is not None else "", answer.signed_for)
        return json_reply({"assignment": made, "protocol": 1})

    def _update(self, name: str, body: bytes) -> Reply:
        stored = self.updates.get(name)
        if stored is not None and stored != body:
            self.faults.append("update: it was sent again with other bytes")
        self.updates.setdefault(name, body)
        same_as = self.case.update.removeprefix("same as ")
        self.faults += checks.update_faults(self.world, body, exact=self.case.update == "expected")
        if same_as in self.earlier and self.earlier[same_as] != body:
            self.faults.append(f"update: its bytes are not those that this client sent in the case {same_as}")
        self._closed = True
        return json_reply({"round": self.world.assignment["round"], "duplicate": stored is not None, "protocol": 1})

    def _pause_faults(self, entries: list[Entry]) -> list[str]:
        faults = []
        for pause in self.case.pauses:
            for entry, following in pairwise(entries):
                waited = following.at - entry.at
                least, most = 0.95 * pause.least_seconds / self.hurry, pause.most_seconds / self.hurry + 10
                if entry.text == pause.after and not least <= waited <= most:
                    faults.append(f"after {entry.text} it waited {waited:.2f} s, not {least:.2f} to {most:.2f}")
        return faults

    def task_offer(self) -> dict[str, Any]:
        """What the phone page asks for before its owner agrees; no other client needs it."""
        offer: dict[str, Any] = {"name": "digits", "status": "running", "task": self.world.page_task}
        offer |= {"manifest": self.world.page_manifest, "checkpoint_bytes": self.world.assignment["checkpoint_bytes"]}
        offer |= {"seal": self.world.page_seal}
        return {"population": "default", "tasks": [offer]}


def described(case: Case) -> dict[str, Any]:
    """A case as GET /cases tells of it."""
    values = asdict(case)
    return {name: values[name] for name in ("name", "about", "right", "update", "kill_after_steps", "slow")}
