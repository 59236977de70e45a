"""What every device shows that takes part in a benchmark: a proof of its key at enrollment, a signature ever after.

key = signing.generate_key()
token = httpx.post(f"{url}/v1/devices", json=enrollment(enrollment_token, key)).json()["device_token"]
httpx.post(f"{url}/v1/check-ins", json=CHECK_IN, auth=Signed(token, key))
"""

from typing import Any

import httpx

from benchmarks.serving.fixture import SIGNING_KEY
from fedrela.core import signing
from fedrela.core.protocol import signed_requests, statements

CHECK_IN: dict[str, Any] = {
    "population": "default", "client": "python 1.0", "runtimes": ["onnx 1.32.0"], "nonce": "0f" * 16
}  # fmt: skip


class Signed:
    """A device's token and key: an `auth` for httpx."""

    def __init__(self, token: str, private_key: str) -> None:
        self.token, self.private_key = token, private_key

    def __call__(self, request: httpx.Request) -> httpx.Request:
        """Add the headers."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        path, body = request.url.path, request.read()
        request.headers.update(signed_requests.headers(self.private_key, request.method, path, body))
        return request


def enrollment(token: str, private_key: str) -> dict[str, str]:
    """The body of an enrollment at a coordinator of the benchmarks."""
    public_key, coordinator = signing.public_key(private_key), signing.fingerprint(signing.public_key(SIGNING_KEY))
    proof = signing.sign(private_key, statements.enrollment(token, public_key, coordinator))
    return {"enrollment_token": token, "public_key": public_key, "coordinator": coordinator, "signature": proof}


def enroll(http: httpx.Client, token: str) -> Signed:
    """The credentials of a new device. `http` knows the coordinator's address."""
    key = signing.generate_key()
    answer = http.post("/v1/devices", json=enrollment(token, key)).raise_for_status()
    return Signed(answer.json()["device_token"], key)
