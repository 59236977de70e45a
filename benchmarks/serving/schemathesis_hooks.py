"""For `schemathesis run` with SCHEMATHESIS_HOOKS: every request is signed as a device's, whatever it has become."""

import os
from typing import Any
from urllib.parse import unquote, urlsplit

import schemathesis
from requests import PreparedRequest
from requests.auth import AuthBase

from fedrela.core.protocol import signed_requests

TOKEN, KEY = "BENCHMARK_DEVICE_TOKEN", "BENCHMARK_DEVICE_KEY"  # in the environment


class Device(AuthBase):
    """The device of the environment."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add its headers."""
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        path = unquote(urlsplit(str(request.url)).path)
        request.headers["Authorization"] = f"Bearer {os.environ[TOKEN]}"
        request.headers.update(signed_requests.headers(os.environ[KEY], str(request.method), path, body))
        return request


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Sign last, so that the signature is of what is sent."""
    kwargs["auth"] = Device()
