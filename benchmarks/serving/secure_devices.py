"""Devices as in `patient_devices`, in a task of secure rounds: each hides its update behind pads."""

import time
from typing import Any

import httpx
import numpy as np

from benchmarks.serving.patient_devices import Device, patiently, update
from benchmarks.serving.signed_requests import CHECK_IN
from fedrela.core import signing, strict, tensors
from fedrela.core.privacy import SECURE_FEATURE
from fedrela.core.protocol import task_json
from fedrela.core.secure import clipping, fixed_point, secure_tasks
from fedrela.core.secure import member as members
from fedrela.core.secure.fixed_point import Block, Extras, Layout
from fedrela.core.secure.member import Member, Secrets
from fedrela.core.secure.messages import SecureStep
from fedrela.core.secure.roster import Terms
from fedrela.core.secure.statements import Work
from fedrela.core.streams import derive, words

_WORK = ("task_sha256", "manifest_sha256", "checkpoint_sha256", "round", "clip_millionths")
_WAIT_SECONDS = 0.02


class SecureDevice(Device):
    """Takes part in groups until the task is finished."""

    check_in = CHECK_IN | {"features": [SECURE_FEATURE]}
    places = ("check-in", "keys", "wait", "share", "update", "agree", "reveal")
    asks_at_once = True  # or when it is told to

    def send(self, client: httpx.Client, assignment: dict[str, Any]) -> None:
        """Keys, shares, the masked update, an agreement and a reveal, as the coordinator asks for them."""
        url = f"{self.url}/v1/assignments/{assignment['assignment_id']}"
        self.doing, attempt, member = "keys", 0, self._offer(assignment, 0)
        self._put(client, f"{url}/secure/keys", member.keys)
        while True:
            answer = patiently(client, "GET", f"{url}/secure", auth=self.credentials)
            step = strict.from_json(SecureStep, answer.content)
            if step.step in self.places:  # of "mask" it is the update that counts
                self.doing = step.step
            if step.step == "wait":
                time.sleep(_WAIT_SECONDS if self.asks_at_once else step.retry_after_seconds or _WAIT_SECONDS)
            elif step.step == "again":
                attempt += 1
                member = self._offer(assignment, attempt)
                self._put(client, f"{url}/secure/keys", member.keys)
            elif step.step == "closed":
                raise RuntimeError(f"round {assignment['round']}: {step.reason}")
            elif step.step == "done":
                return
            else:
                member = self.act(client, url, member, step, assignment)

    def act(
        self, client: httpx.Client, url: str, member: Member, step: SecureStep, assignment: dict[str, Any]
    ) -> Member:
        """Do what a step asks for."""
        key = self.credentials.private_key
        if step.roster:
            member, shares = members.share(member, step.roster)
            self._put(client, f"{url}/secure/shares", shares)
        if step.inbox:
            member, body, _ = members.mask(member, step.inbox, self._vector(client, assignment), key)
            self.upload(client, assignment, bytes(body))
        if step.survivors:
            member, agreement = members.agree(member, step.survivors, key)
            self._put(client, f"{url}/secure/agreement", agreement)
        if step.agreements:
            member, reveal = members.reveal(member, step.agreements)
            self._put(client, f"{url}/secure/reveal", reveal)
        return member

    def _put(self, client: httpx.Client, url: str, message: object) -> None:
        answer = patiently(client, "PUT", url, content=strict.to_json(message), auth=self.credentials)
        if answer.status_code != 204:
            raise RuntimeError(f"{url}: {answer.text}")

    def _offer(self, assignment: dict[str, Any], attempt: int) -> Member:
        key = self.credentials.private_key
        stream = derive(bytes.fromhex(key), assignment["assignment_id"], attempt)
        random = words(stream, 32).astype("<u4").tobytes()
        secrets = Secrets(*(random[start : start + 32] for start in range(0, 128, 32)))
        work = Work(*(assignment[name] for name in _WORK))
        terms = Terms(assignment["assignment_id"], work, "default", signing.public_key(key))
        return members.offer(terms, secrets, key)

    def _vector(self, client: httpx.Client, assignment: dict[str, Any]) -> Any:
        """The update of this device and round as whole numbers, always the same."""
        url = f"{self.url}/v1/blobs/{assignment['task_sha256']}"
        task = task_json.decode(patiently(client, "GET", url, auth=self.credentials).content)
        change = tensors.read(update(self.index, assignment["round"]))["w"]
        clip_norm = clipping.norm(task.privacy, assignment["clip_millionths"])
        layout = Layout((Block(change.size, clip_norm),), 2, task.privacy.groups.largest)
        weight = secure_tasks.weight(task.aggregation, self.index + 1)
        return fixed_point.encode(layout, [change], Extras(weight), np.zeros(change.size, np.float32))
