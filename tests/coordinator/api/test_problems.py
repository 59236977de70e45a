"""Every failure becomes an RFC 9457 document, and tells nothing that it should not."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import Response

from fedrela.coordinator.api import problems
from fedrela.core import errors
from fedrela.core.errors import FedRelaError, Refused
from fedrela.core.wire import PROBLEM_TYPE


@pytest.mark.parametrize(
    ("error", "status", "code", "title"),
    [
        (errors.InvalidInput("p", remedy="r"), 400, "invalid-input", "Bad Request"),
        (errors.InvalidTensors("p", remedy="r"), 400, "invalid-tensors", "Bad Request"),
        (errors.InvalidMessage("p", remedy="r"), 400, "invalid-message", "Bad Request"),
        (errors.IntegrityError("p", remedy="r"), 409, "integrity", "Conflict"),
        (errors.MissingDependency("p", remedy="r"), 501, "missing-dependency", "Not Implemented"),
        (errors.VerificationFailed("p", remedy="r"), 500, "internal", "Internal Server Error"),
        (Refused("p", remedy="r", code="round-over", status=410), 410, "round-over", "Gone"),
    ],
)
def test_an_error_s_document(error: FedRelaError, status: int, code: str, title: str) -> None:
    problem = problems.describe(error)
    assert (problem.status, problem.code, problem.title) == (status, code, title)
    assert (problem.detail, problem.remedy, problem.retry_after_seconds) == ("p", "r", 0)
    assert "Retry-After" not in problems.response(problem).headers


@pytest.mark.parametrize(("seconds", "header"), [(0.01, "1"), (2.0, "2"), (2.1, "3")])
def test_a_wait_is_rounded_up_to_whole_seconds(seconds: float, header: str) -> None:
    limit = problems.TooMany("p", remedy="r", retry_after_seconds=seconds)
    answer = problems.response(problems.describe(limit))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, header)


def test_unavailable_asks_to_come_back_and_full_may_say_when() -> None:
    assert problems.describe(errors.Unavailable("p", remedy="r")).retry_after_seconds == problems.RETRY_SECONDS
    full = problems.TooMany("p", remedy="r", retry_after_seconds=9, status=503)
    assert (problems.describe(full).status, problems.describe(full).retry_after_seconds) == (503, 9)


@pytest.fixture(scope="module")
def http() -> TestClient:
    """An application of failing routes."""
    app = FastAPI()
    problems.install(app)

    @app.get("/refused")
    def refused() -> Response:
        raise Refused("no", remedy="yes", code="unauthenticated", status=401)

    @app.get("/mistake")
    def mistake() -> Response:
        raise RuntimeError("password=swordfish")

    @app.get("/number")
    def number(limit: int) -> int:
        return limit

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/refused", 401, "unauthenticated"),
        ("GET", "/mistake", 500, "internal"),
        ("GET", "/number?limit=swordfish", 400, "invalid-parameter"),
        ("GET", "/nowhere", 404, "not-found"),
        ("DELETE", "/number", 405, "method-not-allowed"),
    ],
)
def test_every_answer_of_an_application_is_a_document(
    http: TestClient, method: str, path: str, status: int, code: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_TYPE)
    assert (answer.json()["status"], answer.json()["code"]) == (status, code)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["remedy"]
    assert "swordfish" not in answer.text


def test_headers_that_the_status_asks_for(http: TestClient) -> None:
    assert http.get("/refused").headers["www-authenticate"].startswith("Bearer")
    assert http.delete("/number").headers["allow"] == "GET"
    assert "query.limit" in http.get("/number").json()["detail"]
