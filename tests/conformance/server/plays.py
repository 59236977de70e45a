"""Every case of the conformance server, played by one client, several at a time."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fedrela.conformance.server.cases import Case, load
from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.runner import Launch, run_case

Verdicts = Mapping[str, Future[Mapping[str, Any]]]


@contextmanager
def all_cases(client_of: Callable[[Case], Launch], folder: Path, *, hurry: float, at_once: int) -> Iterator[Verdicts]:
    """Case -> what the server says of the client, sooner or later. `client_of`: what starts the client for a case.

    A case that compares with another one waits for it.
    """
    server = ConformanceServer(hurry=hurry)

    def play(case: Case) -> Mapping[str, Any]:
        if case.update.startswith("same as "):
            plays[case.update.removeprefix("same as ")].result()
        return run_case(server, case.name, client_of(case), folder)

    plays: dict[str, Future[Mapping[str, Any]]] = {}
    with ThreadPoolExecutor(at_once) as pool:
        for name, case in load().items():
            plays[name] = pool.submit(play, case)
        yield plays
    server.close()
