"""The phone page in Chromium plays the cases of the conformance server; each case judges it by itself.

A browser takes six seconds of a processor for a case. So of cases that are alike to one part of the page one is played
here, and with FEDRELA_EVERY_CASE=1 (`make conformance`) all of them; Python plays all in every run.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedrela.conformance.server.cases import load
from fedrela.conformance.server.http_server import ConformanceServer
from fedrela.conformance.server.session import Session
from fedrela.conformance.server.world import SECRET
from fedrela.core import signing
from tests.patience import PATIENCE_SECONDS
from tests.web.browser import Browser, Tab

SHARD = 5  # of the demonstration: the data of conformance/vectors/rounds
TABS = 8  # at a time
SETTLE_SECONDS = 1.0  # what is wrong after a right outcome comes at once
# A browser can't shorten its pauses, and a slow case waits five minutes: tests/web/node/transport.test.ts has a clock.
ALIKE = {
    *(f"repeated-{status}" for status in (408, 422, 425, 500, 502, 503, 504)),
    *("portal-200", "portal-401", "portal-511", "answer-cut", "answer-gzip", "protocol-2", "retry-after-date"),
    *("blob-begins-elsewhere", "blob-range-refused", "blob-without-ranges", "blob-changed-twice", "blob-refused"),
    *(f"hostile-manifest-{part}" for part in ("dtype", "shape", "size", "hash", "path", "outputs")),
    *("newer-runtime", "task-malformed", "golden-unreadable", "checkpoint-unreadable", "manifest-requires"),
    *("wait-unknown-reason", "unauthenticated-at-update", "unauthenticated-at-check-in", "problem-with-instance"),
    *("repeated-400", "answer-too-long", "portal-302", "portal-403", "update-refused", "blob-longer", "task-too-long"),
    *("seal-missing", "seal-another-program", "seal-forged", "task-beyond-limits", "golden-wrong", "too-few-examples"),
    *("hostile-manifest-role", "program-unreadable", "lease-over-while-training", "lease-over-other-assignment"),
    *("killed-after-update", "assignment-for-another-device", "assignment-for-another-population", "lower-epoch"),
    *("same-round-other-weights", "key-rotated-before-enrollment", "another-key-at-check-in"),
    *("unknown-members", "wait-known-reasons", "repeated-429", "answer-lost", "blob-cut", "blob-changed"),
    *("other-runtime", "checkpoint-too-large", "seal-another-publisher", "another-key-at-enrollment"),
    *("lease-over-same-assignment", "killed-after-assignment", "assignment-for-another-nonce", "older-round"),
}
EVERY = os.environ.get("FEDRELA_EVERY_CASE") == "1"
CASES = [name for name, case in load().items() if not case.slow and (EVERY or name not in ALIKE)]
SEED = """(identity) => new Promise((resolve, reject) => {
  const opening = indexedDB.open("fedrela");
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const change = opening.result.transaction("bytes", "readwrite");
    change.objectStore("bytes").put(new TextEncoder().encode(JSON.stringify(identity)), "identity");
    change.oncomplete = () => { opening.result.close(); resolve(null); };
  };
})"""


@dataclass
class Play:
    """A tab that plays a case."""

    session: Session
    tab: Tab
    link: str
    until: float
    killed: bool = False
    again_at: float = 0.0  # when a killed tab is opened again; 0: it runs
    passed_at: float = 0.0

    def is_over(self) -> bool:
        """One look at the case; a tab that must be killed is, and opened again when it is time."""
        now = time.monotonic()
        if self.again_at:
            self.open_again(now)
        elif self.must_be_killed():
            self.tab.do("crash")
            self.killed, self.again_at = True, now + self.session.killed() + 0.01
        elif (state := self.session.verdict()["state"]) != "pending":
            self.passed_at = self.passed_at or now
            return state == "failed" or now > self.passed_at + SETTLE_SECONDS
        return now > self.until

    def open_again(self, now: float) -> None:
        """As its owner opens the page once more."""
        if now >= self.again_at:
            self.again_at = 0.0
            self.tab.do("open", url=self.link.split("#")[0] + "/")

    def must_be_killed(self) -> bool:
        """Whether the server says so, or the page has done as many steps as the case wants."""
        steps = self.session.case.kill_after_steps
        if not steps or self.killed:
            return self.session.kill_now
        words = str(self.tab.do("text", selector="#doing")).split(": step ")
        return len(words) > 1 and int(words[1].split()[0]) >= steps


def begin(server: ConformanceServer, browser: Browser, name: str) -> Play:
    """Open the case's link in a tab of its own, whose secret is that of the vectors; join, take data, start."""
    session, tab, link = server.start(name), Tab(browser, name), server.link(name)
    tab.do("open", url=link)
    tab.do("wait", selector="#join")
    key = signing.generate_key()
    identity = dict.fromkeys(("device_id", "device_token", "coordinator_public_key", "population"), "")
    identity |= {"private_key": key, "public_key": signing.public_key(key), "secret": SECRET.hex()}
    tab.do("eval", code=SEED, argument=identity)
    tab.do("click", selector="#join")
    if not any("check-in" in text for outcome in session.case.right for text in outcome.log):
        return Play(session, tab, link, time.monotonic() + PATIENCE_SECONDS)  # nobody joins there
    tab.do("wait", selector="#leave")
    tab.use_demo(SHARD)
    tab.start()
    return Play(session, tab, link, time.monotonic() + PATIENCE_SECONDS)


def play_all(server: ConformanceServer, browser: Browser) -> dict[str, Any]:
    """Case -> what the server says of the page; whatever compares with another case comes last."""
    verdicts: dict[str, Any] = {}
    waiting = sorted(CASES, key=lambda name: load()[name].update.startswith("same as"))
    playing: list[Play] = []
    while waiting or playing:
        compares = waiting and load()[waiting[0]].update.startswith("same as")
        if waiting and len(playing) < (1 if compares else TABS):
            playing.append(begin(server, browser, waiting.pop(0)))
        for play in list(playing):
            if play.is_over():
                verdicts[play.session.case.name] = play.session.verdict() | {"killed": play.killed}
                play.tab.do("close")
                playing.remove(play)
        time.sleep(0.02)
    return verdicts


@pytest.fixture(scope="module")
def verdicts(built_page: Path) -> Iterator[dict[str, Any]]:
    """What the server says of the page, by case."""
    with closing(ConformanceServer(page=built_page)) as server:
        browser = Browser()
        try:  # a browser that stayed would play on beside all later tests
            yield play_all(server, browser)
        finally:
            browser.quit()


@pytest.mark.parametrize("name", CASES)
def test_the_page_does_what_is_right(verdicts: dict[str, Any], name: str) -> None:
    verdict = verdicts[name]
    assert verdict["state"] == "passed", verdict
    assert verdict["killed"] == (load()[name].kill_after_steps > 0 or "killed" in " ".join(verdict["log"]))
