"""HTTP on 127.0.0.1: the cases' coordinators, each under a path of its own, and the control of them.

    GET  /cases                    names, what each is about, the right outcomes
    POST /cases/{name}/start       begins it anew: {"link", "secret", "data", "kill_after_steps"}
    GET  /cases/{name}/verdict     {"state": "pending" | "passed" | "failed", "faults", "log", "kill_now"}
    POST /cases/{name}/killed      the client was killed: {"start_again_seconds"}
    /at/{name}/v1/...              the coordinator of a case
    /at/{name}/join/...            the phone page, where there is one

Every answer closes its connection, so that a client's HTTP library repeats nothing by itself.
"""

import mimetypes
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fedrela.conformance.server.cases import load
from fedrela.conformance.server.checks import Request
from fedrela.conformance.server.replies import Reply, json_reply
from fedrela.conformance.server.session import Session, described
from fedrela.conformance.server.world import DATA, FRAGMENT, SECRET

HELD_SECONDS = 30.0  # an unanswered request of a client that should have been killed
CUT_SECONDS = 2.0  # what was sent is read before the connection goes, on a busy machine too
PAGE_HEADERS = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class ConformanceServer:
    """All cases on one port. `page`: the folder of the built phone page, if it is to be judged."""

    def __init__(self, port: int = 0, *, hurry: float = 1.0, page: Path | None = None) -> None:
        self.cases, self.hurry, self.page = load(), hurry, page
        self.sessions: dict[str, Session] = {}
        outer = self

        class Handler(_Handler):
            server_of_cases = outer

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def link(self, name: str) -> str:
        """The enrollment link of a case."""
        return f"{self.url}/at/{name}/join#{FRAGMENT}"

    def start(self, name: str) -> Session:
        """Begin a case anew."""
        sessions = dict(self.sessions)
        updates = {case: next(iter(session.updates.values())) for case, session in sessions.items() if session.updates}
        self.sessions[name] = Session(self.cases[name], self.hurry, updates)
        return self.sessions[name]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def control(self, method: str, words: list[str]) -> Reply:
        """The answer to a request about cases."""
        match method, words:
            case "GET", []:
                return json_reply({"cases": [described(case) for case in self.cases.values()]})
            case "POST", [name, "start"] if name in self.cases:
                steps = self.start(name).case.kill_after_steps
                facts = {"link": self.link(name), "secret": SECRET.hex(), "data": str(DATA), "kill_after_steps": steps}
                return json_reply(facts)
            case "GET", [name, "verdict"] if name in self.sessions:
                return json_reply(self.sessions[name].verdict())
            case "POST", [name, "killed"] if name in self.sessions:
                return json_reply({"start_again_seconds": self.sessions[name].killed()})
        return json_reply({"error": "no such case, or it has not been started"}, 404)

    def page_file(self, path: str) -> Reply:
        """A file of the phone page."""
        name = PurePosixPath(path or "index.html")
        file = self.page / name if self.page else None
        if file is None or not name.name or ".." in name.parts:
            return Reply(404)
        headers = PAGE_HEADERS
        if not file.is_file():  # a runtime: it is there compressed alone
            file, headers = file.with_name(file.name + ".br"), PAGE_HEADERS | {"Content-Encoding": "br"}
        if not file.is_file():
            return Reply(404)
        media = mimetypes.guess_type(name.name)[0] or "application/octet-stream"
        media = "text/javascript" if name.suffix == ".mjs" else media
        return Reply(200, headers | {"Content-Type": media, "Cache-Control": "no-cache"}, file.read_bytes())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_cases: ConformanceServer

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """The log is the verdict's."""

    def answer(self) -> None:
        """Read one request and answer it."""
        self.close_connection = True
        body = self._body()
        path = urlsplit(self.path).path
        first, *words = path.strip("/").split("/")
        server = self.server_of_cases
        if first == "cases":
            self._send(server.control(self.command, words))
        elif first != "at" or not words or words[0] not in server.sessions:
            self._send(Reply(404))
        else:
            self._coordinator(server.sessions[words[0]], path.split("/", 3)[3:], body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

    def _coordinator(self, session: Session, rest: list[str], body: bytes) -> None:
        path = "/" + "".join(rest)
        if path == "/v1/tasks":
            return self._send(json_reply(session.task_offer()))
        if path == "/join":
            return self._send(Reply(308, {"Location": "join/"}))
        if path.startswith("/join/"):
            return self._send(self.server_of_cases.page_file(path.removeprefix("/join/")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = session.handle(Request(self.command, path, headers, body, time.monotonic()))
        until = time.monotonic() + HELD_SECONDS
        while reply.held and session.kill_now and time.monotonic() < until:
            time.sleep(0.02)
        return self._send(reply)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0] or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, reply: Reply) -> None:
        if reply.silent:
            return
        with suppress(OSError):  # the client may be gone
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body if reply.cut_after < 0 else reply.body[: reply.cut_after])
            if reply.cut_after >= 0:
                self.wfile.flush()
                time.sleep(CUT_SECONDS)
