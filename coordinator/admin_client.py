"""The admin API for programs and for the command line: publish, enrollment tokens, rounds, figures, the virtual clock.

>>> # with AdminClient("http://127.0.0.1:8000", key) as admin: admin.publish(Path("bundle"), task)
"""

import json
import math
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import httpx

from fedrela.coordinator import admin_answers
from fedrela.coordinator.settings import MINIMAL_ADMIN_KEY, check_admin_key
from fedrela.core import bundle, signing, strict
from fedrela.core.data.partition import Accuracy
from fedrela.core.environment import network_settings
from fedrela.core.errors import FedRelaError, InvalidInput, InvalidMessage, InvalidTask, Refused, Unavailable
from fedrela.core.privacy import SECURE_FEATURE
from fedrela.core.secure.secure_tasks import OR_PLAIN
from fedrela.core.task import LocalTraining, Task

TIMEOUT_SECONDS = 60.0
_TASK_ID = re.compile(r"t-[0-9a-f]+")
_NO_VIRTUAL_CLOCK = (403, 404, 409)  # HTTP statuses of a coordinator that goes by the real time


class AdminClient:
    """One coordinator's admin API. `http`: whose connections to use; without it, the client has and closes its own,
    which go through this machine's proxy.

    Every call raises Refused with the coordinator's reason, Unavailable where nobody answers, InvalidMessage where the
    answer is not one that a coordinator gives (`admin_answers`), and InvalidInput for an id that can't be one. So does
    the class itself for a URL or a key that can't be one.
    """

    def __init__(self, url: str, admin_key: str, *, http: httpx.Client | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is not a URL", remedy="write it like http://127.0.0.1:8000")
        check_admin_key(
            admin_key,
            "the admin key",
            "set FEDRELA_ADMIN_KEY (or --admin-key) to the one that the coordinator was started with: at least "
            f"{MINIMAL_ADMIN_KEY} characters of plain ASCII, without spaces and line ends",
        )
        self.url = url.rstrip("/")
        self._owns_http = http is None
        self._http = http or _by_network_settings(self.url)
        self._headers = {"Authorization": f"Bearer {admin_key}"}
        self._is_coordinator = False

    def __enter__(self) -> "AdminClient":
        """The client itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connections, if they are its own."""
        if self._owns_http:
            self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """One call below /v1/admin: the JSON of its answer, None where that has no body.

        `arguments` are those of `httpx.Client.request`; what follows a `?` goes into `params`.
        """
        shape = admin_answers.expected(method, path)
        value = admin_answers.read(self._call(method, f"/v1/admin{path}", **arguments), shape, f"{method} {path}")
        if not value and not self._is_coordinator:  # anybody can say nothing
            self._server()
        return value

    def get(self, path: str, **arguments: Any) -> Any:
        """A JSON answer."""
        return self.request("GET", path, **arguments)

    def is_trial(self) -> bool:
        """Whether the coordinator runs with --dev, so that its devices are the operator's own."""
        return bool(self._server().get("dev"))

    def public_url(self) -> str:
        """What devices call the coordinator: as it was started with, else as it is called here."""
        return str(self._server().get("public_url") or self.url)

    def _server(self) -> dict[str, Any]:
        try:
            answer = dict(self.get("/server"))
        except Refused as refused:
            if refused.status != 404 or refused.code == admin_answers.NO_PROBLEM:
                raise
            answer = {}  # a coordinator of version 0.1
        self._is_coordinator = True
        return answer

    def publish(self, folder: Path, task: Task) -> str:
        """Verify a bundle, upload its blobs and begin the task; returns the task's id.

        What a file leaves out is completed where it is read (`task.from_toml`); a Task says all of it.
        """
        return self.publish_bundle(bundle.read(folder), task)

    def publish_bundle(self, sealed: bundle.Bundle, task: Task) -> str:
        """The same of a bundle that was read, and so verified, before."""
        values = _as_published(task, self._server().get("features", ()))
        for sha256, body in sealed.blobs().items():
            self.request("PUT", f"/blobs/{sha256}", content=body)
        publication = {
            "task": values,
            "seal": vars(sealed.seal),
            "checkpoint_sha256": sealed.seal.weights_sha256,
        }
        return str(self.request("POST", "/tasks", json=publication)["task_id"])

    def find(self, name_or_id: str) -> dict[str, Any]:
        """The task of that id, or the only one of that name. Raises InvalidInput where there is none, or another."""
        tasks: list[dict[str, Any]] = self.get("/tasks")
        matching = [task for task in tasks if task["task_id"] == name_or_id]
        matching = matching or [task for task in tasks if task["name"] == name_or_id]
        if not matching:
            known = ", ".join(task["name"] for task in tasks) or "none"
            raise InvalidInput(f"there is no task {name_or_id!r}", remedy=f"publish it first; known tasks: {known}")
        if len(matching) > 1:
            ids = ", ".join(task["task_id"] for task in matching)
            raise InvalidInput(f"{len(matching)} tasks are called {name_or_id!r}", remedy=f"name one by its id: {ids}")
        return matching[0]

    def id_of(self, task: str) -> str:
        """The id of a task that is named by its id, or by a name that it alone has. Raises InvalidInput."""
        return task if _TASK_ID.fullmatch(task) else str(self.find(task)["task_id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """Everything the coordinator says of a task."""
        record: dict[str, Any] = self.get(f"/tasks/{task_id}")
        return record

    def rounds(self, task_id: str) -> list[dict[str, Any]]:
        """A task's rounds, oldest first."""
        records: list[dict[str, Any]] = self.get(f"/tasks/{task_id}/rounds")
        return records

    def devices(self) -> list[dict[str, Any]]:
        """Every enrolled device, in the order of their ids."""
        records: list[dict[str, Any]] = []
        while page := self.get("/devices", params={"after": records[-1]["device_id"] if records else ""}):
            if records and page[0]["device_id"] <= records[-1]["device_id"]:
                raise InvalidMessage("the coordinator sends the same devices again", remedy="update the coordinator")
            records += page
        return records

    def report_accuracy(self, task_id: str, round_number: int, accuracy: Accuracy, examples: int) -> None:
        """Tell the coordinator how good a round's model is on `examples` of the operator's own."""
        shares = {name: getattr(accuracy, name) for name in ("overall", "many", "medium", "few")}
        report = {name: None if math.isnan(share) else share for name, share in shares.items()}
        self.request("PUT", f"/tasks/{task_id}/rounds/{round_number}/accuracy", json=report | {"examples": examples})

    def enrollment_link(
        self, population: str, uses: int, *, valid_seconds: float, publishers: tuple[str, ...] = ()
    ) -> str:
        """A link that enrolls `uses` devices for programs of `publishers`, without them those of the tasks there."""
        token_request = {"population": population, "max_uses": uses, "valid_seconds": valid_seconds}
        token_request["publishers"] = publishers
        return f"{self.url}/join#{self.request('POST', '/tokens', json=token_request)['fragment']}"

    def set_clock(self, now_seconds: float) -> float | None:
        """Move the virtual clock; returns its time, or None if this coordinator's clock is the real one."""
        try:
            return float(self.request("POST", "/clock", json={"now_seconds": now_seconds})["now_seconds"])
        except Refused as refused:
            if refused.status in _NO_VIRTUAL_CLOCK and refused.code != admin_answers.NO_PROBLEM:
                return None
            raise

    def download(self, sha256: str) -> bytes:
        """A public blob. Raises IntegrityError where its bytes don't match its name."""
        body = self._call("GET", f"/v1/blobs/{sha256}").content
        signing.check_sha256(body, sha256, "a blob")
        return body

    def _call(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, self.url + path, headers=self._headers, **arguments)
        except FedRelaError:
            raise
        except Exception as error:  # whatever httpx makes of a URL, a key or an answer that it doesn't understand
            if isinstance(error, httpx.HTTPError) and not isinstance(error, httpx.LocalProtocolError):
                raise Unavailable(
                    f"no coordinator answers at {self.url} ({error})",
                    remedy=network_settings.remedy_for(str(error), "start it with `fedrela serve`, or correct --url"),
                ) from error
            # Not in the library's words: those of a LocalProtocolError repeat the header, and so the key.
            raise InvalidInput(
                f"{method} {path} can't be sent to {self.url} ({type(error).__name__})",
                remedy="correct --url and --admin-key: both are plain ASCII",
            ) from error
        if answer.is_success:
            return answer
        refusal = admin_answers.refusal(answer, f"{method} {path}")
        if refusal.code == "unauthenticated":  # whose words are for devices
            raise Refused(
                f"the coordinator at {self.url} does not know this admin key",
                remedy="set FEDRELA_ADMIN_KEY (or --admin-key) to the one that it was started with; another one is "
                "named by FEDRELA_URL or --url",
                code=refusal.code,
                status=refusal.status,
            )
        raise refusal


def _by_network_settings(url: str) -> httpx.Client:
    """A client for this coordinator. Raises InvalidInput or MissingDependency for settings that can't be used."""

    def open_(proxy: str) -> httpx.Client:
        way = httpx.HTTPTransport(verify=url.startswith("https:"), proxy=proxy or None)
        return httpx.Client(transport=way, timeout=TIMEOUT_SECONDS, trust_env=False)

    return network_settings.reached(url, getproxies(), os.environ, open_)


def _as_published(task: Task, features: Collection[str]) -> dict[str, Any]:
    """A task's values in the words of a coordinator that has these features.

    An older one knows no newer word, and needs none where the task asks for nothing new. One of today takes a task that
    says nothing of privacy for a secure one. Raises InvalidTask for a secure task where there are no secure rounds.
    """
    values: dict[str, Any] = json.loads(strict.to_json(task))
    if SECURE_FEATURE not in features:
        if task.privacy.secure != "none":
            raise InvalidTask("this coordinator has no secure rounds", remedy=f"update it; {OR_PLAIN}")
        del values["privacy"]
    if task.local.lr_schedule == LocalTraining().lr_schedule:
        del values["local"]["lr_schedule"]
    return values
