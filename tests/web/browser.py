"""Chromium for tests: a process of Node that drives it, and a proxy that sees every byte it sends."""

import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.patience import PATIENCE_SECONDS

DRIVER = Path(__file__).parent / "driver.mjs"
WEB = Path(__file__).parents[2] / "web"
# What a Chromium asks its maker for by itself, in its first seconds or later, whatever page is open.
CHROMIUMS_OWN = re.compile(r"(https?://)?([a-z-]+\.)*(googleapis|google|gvt1|chromium)\.(com|org)[:/]")


def missing() -> str:
    """Why browser tests can't run here; empty where they can."""
    if shutil.which("node") is None:
        return "Node.js 20 or newer is not installed"
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        return "the page's packages are not installed; run: make web"
    if chromium() is None:
        return "Chromium is not installed; run: apt-get install chromium"
    return ""


def chromium() -> str | None:
    """The installed browser."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


class Browser:
    """One Chromium; each context is a phone of its own, with its own storage."""

    def __init__(self, proxy: str = "", *arguments: str) -> None:
        self._node = subprocess.Popen(["node", str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.do("launch", chromium=chromium(), proxy=proxy, args=arguments)

    def do(self, what: str, **arguments: Any) -> Any:
        """One command of driver.mjs. Raises AssertionError with the browser's words."""
        assert self._node.stdin is not None
        assert self._node.stdout is not None
        self._node.stdin.write(json.dumps({"do": what, **arguments}) + "\n")
        self._node.stdin.flush()
        line = self._node.stdout.readline()
        assert line, f"the browser's driver ended during {what}"
        answer = json.loads(line)
        assert "error" not in answer, f"{what} {arguments}: {answer.get('error')}"
        return answer["result"]

    def quit(self) -> None:
        """End browser and driver."""
        self.do("quit")
        self._node.wait(PATIENCE_SECONDS)


class Tab:
    """One phone: a browser context with the page open."""

    def __init__(self, browser: Browser, name: str, **options: Any) -> None:
        self.browser, self.name = browser, name
        browser.do("context", name=name, options=options)

    def do(self, what: str, **arguments: Any) -> Any:
        """A command on this tab."""
        return self.browser.do(what, name=self.name, **arguments)

    def join(self, link: str) -> None:
        """Open an enrollment link and agree."""
        self.do("open", url=link)
        self.do("wait", selector="#join")
        self.do("click", selector="#join")
        self.do("wait", selector="#leave")

    def use_demo(self, shard: int) -> None:
        """Take a demonstration shard, and start."""
        self.do("select", selector="#demo-shard", value=str(shard))
        self.do("click", selector="#demo-add")
        self.do("waitFor", code="() => !document.querySelector('#pause').disabled")

    def stored(self, key: str) -> Any:
        """A JSON value of the page's own database; None where there is none."""
        return self.do("eval", code=READ, argument=key)

    def start(self) -> None:
        """Press the button."""
        self.do("click", selector="#pause")

    def alert(self) -> str:
        """The sentence that is shown; waits for one, which a page that tries again takes away for a moment."""
        return str(self.do("eval", code=SENTENCE))


SENTENCE = """async () => {
  for (let tries = 0; tries < 600; tries += 1) {
    const sentence = document.querySelector("#alert")?.innerText;
    if (sentence) return sentence;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return "";
}"""

READ = """(key) => new Promise((resolve, reject) => {
  const opening = indexedDB.open("fedrela");
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const asked = opening.result.transaction("bytes").objectStore("bytes").get(key);
    asked.onsuccess = () => {
      opening.result.close();
      resolve(asked.result ? JSON.parse(new TextDecoder().decode(asked.result)) : null);
    };
  };
})"""


@dataclass(frozen=True)
class Seen:
    """One request as it left the browser."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """An HTTP proxy that all of the browser's traffic goes through. `tamper` may change an answer on its way."""

    host: str  # the only host that is passed on, "127.0.0.1:port"
    seen: list[Seen] = field(default_factory=list)  # without Chromium's own requests: these come when they will
    tamper: Callable[[str, bytes], bytes] = lambda path, body: body
    down: bool = False
    answers: list[tuple[str, int]] = field(default_factory=list)  # path and bytes of each answer

    def __post_init__(self) -> None:
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                """Silent."""

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not CHROMIUMS_OWN.match(self.path):
                    recorder.seen.append(Seen(self.command, self.path, dict(self.headers), body))
                recorder.answer(self, body)

        for verb in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT"):
            setattr(Handler, f"do_{verb}", Handler._pass)

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # a page opens many connections at once, and each is a new one

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Pass a request on; cut the line where the network is down or the host is another."""
        parts = urlsplit(handler.path)
        handler.close_connection = True
        if self.down or parts.netloc != self.host:
            return
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {key: value for key, value in handler.headers.items() if not key.lower().startswith("proxy-")}
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_SECONDS)
        try:
            connection.request(handler.command, path, body or None, headers | {"Connection": "close"})
            response = connection.getresponse()
            answer = self.tamper(path, response.read())
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        self.answers.append((path, len(answer)))
        handler.send_response(response.status)
        for key, value in response.getheaders():
            if key.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(answer)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        with suppress(OSError):  # the tab may be gone
            handler.wfile.write(answer)

    def reset(self) -> None:
        """Forget what was seen; an honest network again."""
        self.seen.clear()
        self.down, self.tamper = False, lambda path, body: body

    def other_hosts(self) -> set[str]:
        """Whom else the browser asked for."""
        return {seen.url for seen in self.seen if urlsplit(seen.url).netloc != self.host}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
