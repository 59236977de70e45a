"""The admin API for programs and for the command line.

>>> # with AdminClient("http://127.0.0.1:8000", key) as admin: admin.publish(Path("bundle"), task)
"""

import json
from pathlib import Path
from typing import Any

import httpx

from fedrela.core import bundle, strict
from fedrela.core.errors import InvalidInput, Refused, Unavailable
from fedrela.core.task import Task

TIMEOUT_SECONDS = 60.0


class AdminClient:
    """One connection pool to one coordinator. `http`: an httpx client to use instead of a new one."""

    def __init__(self, url: str, admin_key: str, *, http: httpx.Client | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInput(f"{url!r} is not a URL", remedy="write it like http://127.0.0.1:8000")
        self.url = url.rstrip("/")
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {admin_key}"}

    def __enter__(self) -> "AdminClient":
        """The client itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One call below /v1/admin. Raises Refused with the coordinator's reason, or Unavailable."""
        try:
            answer = self._http.request(method, f"{self.url}/v1/admin{path}", headers=self._headers, **arguments)
        except httpx.TransportError as error:
            raise Unavailable(
                f"no coordinator answers at {self.url} ({error})",
                remedy="start it with `fedrela serve`, or correct --url",
            ) from error
        if answer.is_error:
            raise refusal(answer)
        return answer

    def get(self, path: str) -> Any:
        """A JSON answer."""
        return self.request("GET", path).json()

    def publish(self, folder: Path, task: Task) -> str:
        """Verify a bundle, upload its blobs and begin the task; returns the task's id."""
        sealed = bundle.read(folder)
        for sha256, body in sealed.blobs().items():
            self.request("PUT", f"/blobs/{sha256}", content=body)
        wanted = {
            "task": json.loads(strict.to_json(task)),
            "manifest_sha256": sealed.seal.manifest_sha256,
            "checkpoint_sha256": sealed.seal.weights_sha256,
        }
        return str(self.request("POST", "/tasks", json=wanted).json()["task_id"])

    def download(self, sha256: str) -> bytes:
        """A public blob."""
        try:
            answer = self._http.get(f"{self.url}/v1/blobs/{sha256}", headers=self._headers)
        except httpx.TransportError as error:
            raise Unavailable(
                f"no coordinator answers at {self.url}", remedy="start it with `fedrela serve`"
            ) from error
        if answer.is_error:
            raise refusal(answer)
        return answer.content


def refusal(answer: httpx.Response) -> Refused:
    """The problem document of an answer as an error."""
    try:
        problem = answer.json()
        return Refused(
            str(problem["detail"]), remedy=str(problem["remedy"]), code=str(problem["code"]), status=answer.status_code
        )
    except (ValueError, KeyError, TypeError):
        return Refused(
            f"the server answered {answer.status_code}",
            remedy="check that --url names a FedReLa coordinator",
            code="unknown",
            status=answer.status_code,
        )
