"""An S3-compatible server of a benchmark's own (moto), on 127.0.0.1 and a free port."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.serving.fixture import free_port

START_SECONDS = 300  # how slow a machine may be


@contextmanager
def server() -> Iterator[str]:
    """Start it with an empty bucket; gives the URL of a blob store in it."""
    port = free_port()
    os.environ |= {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
    program = Path(sys.executable).parent / "moto_server"
    command = [program, "-H", "127.0.0.1", "-p", str(port)]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _make_bucket(port)
        yield f"s3://blobs/fedrela?endpoint=http://127.0.0.1:{port}"
    finally:
        started.kill()
        started.wait()


def _make_bucket(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            httpx.put(f"http://127.0.0.1:{port}/blobs").raise_for_status()
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the S3 server did not start; run: pip install 'moto[server]'")
