"""The shortened httpx: the same requests and answers, over ASGI and through the emulated device's client."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from fedrela.emulator.connections.asgi import AsgiTransport
from fedrela.emulator.connections.minimal_http import MinimalClient
from tests.patience import PATIENCE_SECONDS

app = FastAPI()
three = asyncio.Barrier(3)


@app.put("/echo/{name}")
async def echo(name: str, request: Request) -> Response:
    body = await request.body()
    echoed = f"{name} {request.url.query} {request.headers['x-own']} {len(body)}"
    return Response(body, headers={"said": echoed, "host-was": request.headers["host"]}, status_code=201)


@app.get("/thread")
async def thread() -> int:
    return threading.get_ident()


@app.get("/together")
async def together() -> None:
    await asyncio.wait_for(three.wait(), PATIENCE_SECONDS)


@app.get("/broken")
async def broken() -> None:
    raise ZeroDivisionError


@pytest.fixture
def transport():
    transport = AsgiTransport(app)
    transport.start()
    yield transport
    transport.stop()


def test_an_application_sees_method_path_query_headers_and_body(transport):
    http, url = MinimalClient(transport), "http://host:81/echo/a%20b?c=d"
    with http.stream("PUT", url, content=b"body", headers={"X-Own": "e"}) as response:
        assert response.status_code == 201
        assert response.headers["said"] == "a b c=d e 4"
        assert response.headers["host-was"] == "host:81"
        assert b"".join(response.iter_raw()) == b"body"
        assert response.request.method == "PUT"


def test_it_is_what_httpx_gives(transport):
    arguments = {"content": b"xyz", "headers": {"X-Own": "1"}}
    with httpx.Client(transport=transport, trust_env=False) as http:
        answers = []
        for client in (http, MinimalClient(transport)):
            with client.stream("PUT", "http://c/echo/1", **arguments) as response:
                answers.append((response.status_code, sorted(response.headers.items()), response.read()))
    assert answers[0] == answers[1]


def test_an_application_runs_in_the_thread_that_asks(transport):
    def ask():
        with httpx.Client(transport=transport, trust_env=False) as http:
            return http.get("http://c/thread").json() == threading.get_ident()

    with ThreadPoolExecutor(3) as threads:
        assert ask()
        assert all(future.result() for future in [threads.submit(ask) for _ in range(20)])


def test_what_an_application_raises_is_raised(transport):
    with httpx.Client(transport=transport, trust_env=False) as http, pytest.raises(ZeroDivisionError):
        http.get("http://c/broken")
    answers = []
    transport.begin(httpx.Request("GET", "http://c/broken"), answers.append)
    transport.collect(wait=True)
    assert isinstance(answers[0], ZeroDivisionError)


def test_requests_are_under_way_together(transport):
    answers = []
    for _ in range(3):
        transport.begin(httpx.Request("GET", "http://c/together"), answers.append)
    while len(answers) < 3:
        transport.collect(wait=True)
    assert [answer.status_code for answer in answers] == [200] * 3
    transport.collect(wait=False)  # nothing has come since
    assert len(answers) == 3
