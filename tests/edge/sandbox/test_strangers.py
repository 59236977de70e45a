"""A process that answers nonsense is an error of ours: no length, no place and no text of its choosing does more."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from fedrela.core.errors import InvalidBundle, MissingDependency
from fedrela.edge.sandbox import process
from fedrela.edge.sandbox.answers import Limits, answer
from fedrela.edge.sandbox.channel import DONE, FAULTS, MOST_TEXT, REPLY, Arena, arena_memory, fault_reply
from fedrela.edge.sandbox.launch import Child
from fedrela.edge.sandbox.process import EndedRuntime, Sandbox

LIMITS = Limits(seconds=0.6)
OF_BUNDLE = FAULTS.index(InvalidBundle) + 1


@pytest.fixture
def stranger() -> Iterator[tuple[Child, socket.socket]]:
    """A process of no importance, and the end of the socket at which it would speak."""
    ours, theirs = socket.socketpair()
    sleeping = subprocess.Popen(["sleep", "600"])
    child = Child(sleeping, ours, Arena(arena_memory(1 << 20), 1 << 20))
    yield child, theirs
    child.end()
    theirs.close()


WRONG: dict[str, bytes] = {
    "another request's number": REPLY.pack(7, DONE, 0),
    "no such outcome": REPLY.pack(0, len(FAULTS) + 1, 0),
    "an enormous text": REPLY.pack(0, OF_BUNDLE, 2**32 - 1),
    "a text that is too long": REPLY.pack(0, OF_BUNDLE, MOST_TEXT + 1) + bytes(MOST_TEXT + 1),
    "more than an answer": REPLY.pack(0, DONE, 0) + b"x",
    "two answers": REPLY.pack(0, DONE, 0) * 2,
    "noise": bytes(range(1, 250)),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=list(WRONG))
def test_nonsense_is_named(body: bytes, stranger: tuple[Child, socket.socket]) -> None:
    child, theirs = stranger
    theirs.sendall(body)
    with pytest.raises(EndedRuntime, match="train_step was answered with nonsense"):
        answer(child, LIMITS, "train_step")


@pytest.mark.parametrize("part", [b"", REPLY.pack(0, DONE, 0)[:-1], REPLY.pack(0, OF_BUNDLE, 100) + b"half"])
def test_an_answer_that_breaks_off_is_an_end_and_one_that_stays_away_is_too_late(
    part: bytes, stranger: tuple[Child, socket.socket]
) -> None:
    child, theirs = stranger
    theirs.sendall(part)
    with pytest.raises(EndedRuntime, match=r"predict took more than 0\.6 s"):
        answer(child, LIMITS, "predict")
    theirs.sendall(part)
    theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(EndedRuntime):
        answer(child, LIMITS, "predict")


def test_a_byte_now_and_then_does_not_hold_the_device(stranger: tuple[Child, socket.socket]) -> None:
    child, theirs = stranger
    done = threading.Event()

    def dribble() -> None:
        for byte in REPLY.pack(0, OF_BUNDLE, 4000) + bytes(4000):
            if done.wait(0.01):
                return
            theirs.send(bytes([byte]))

    thread = threading.Thread(target=dribble)
    thread.start()
    started = time.monotonic()
    try:
        with pytest.raises(EndedRuntime, match="took more than"):
            answer(child, LIMITS, "predict")
    finally:
        done.set()
        thread.join()
    assert time.monotonic() - started < 20


def test_a_text_can_not_write_to_the_owners_terminal(stranger: tuple[Child, socket.socket]) -> None:
    child, theirs = stranger
    theirs.sendall(
        fault_reply(0, InvalidBundle("\x1b]0;owned\x07\r\nall is well \u202e", remedy="\x1b[2J" + "x" * 9000))
    )
    with pytest.raises(InvalidBundle) as caught:
        answer(child, LIMITS, "predict")
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 2100


GOOD = {"measures": [], "reason": "", "versions": {}, "missing": {}}
HELLOS: dict[str, bytes] = {
    "no text": b"",
    "no JSON": b"\xff{",
    "a list": b"[]",
    "another form": json.dumps({"measures": "seccomp", "reason": "", "versions": {}, "missing": {}}).encode(),
    "versions that are none": json.dumps(
        {"measures": [], "reason": "", "versions": {"onnx": 1}, "missing": {}}
    ).encode(),
}


def speaks(monkeypatch: pytest.MonkeyPatch, child: Child) -> None:
    launch: Callable[..., Child] = lambda runtimes, threads, memory_bytes: child  # noqa: E731
    monkeypatch.setattr(process, "launch", launch)


@pytest.mark.parametrize("text", HELLOS.values(), ids=list(HELLOS))
def test_a_process_that_begins_with_nonsense_is_not_used(
    text: bytes, stranger: tuple[Child, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, theirs = stranger
    speaks(monkeypatch, child)
    theirs.sendall(REPLY.pack(0, DONE, len(text)) + text)
    with pytest.raises(MissingDependency, match=r"no process for the runtime \(onnxruntime .*can be started"):
        Sandbox(("onnx",)).hello()
    assert child.process.returncode is not None


@pytest.mark.parametrize("required", [False, True])
def test_a_process_that_could_not_seal_itself_is_used_only_where_no_seal_is_required(
    required: bool, stranger: tuple[Child, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, theirs = stranger
    speaks(monkeypatch, child)
    hello = {"measures": [], "reason": "Darwin has no seccomp", "versions": {"onnx": "1.28.0"}, "missing": {}}
    body = json.dumps(hello).encode()
    theirs.sendall(REPLY.pack(0, DONE, len(body)) + body)
    sandbox = Sandbox(("onnx",), required=required)
    if required:
        with pytest.raises(MissingDependency, match="can't confine a program: Darwin has no seccomp"):
            sandbox.hello()
        assert child.process.returncode is not None
    else:
        assert str(sandbox.confinement) == "none (Darwin has no seccomp)"
        assert sandbox.version("onnx") == "1.28.0"
