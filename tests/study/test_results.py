"""Results survive a kill at any byte."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from study import results


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 120))
def test_a_file_cut_anywhere_loses_only_the_line_that_was_cut(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "r.jsonl"
    rows = [{"key": name, "value": value} for name, value in (("a", 1), ("b", 2), ("c", 3))]
    for row in rows:
        results.append(path, row)
    body = path.read_bytes()
    path.write_bytes(body[: min(cut, len(body))])
    whole = path.read_bytes().count(b"\n")
    assert list(results.read(path)) == ["a", "b", "c"][:whole]
    results.append(path, {"key": "d", "value": 4})
    assert list(results.read(path)) == [*["a", "b", "c"][:whole], "d"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"key": "a"}\n{"ke\n{"key": "b"}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        results.read(path)


def test_a_killed_writer_leaves_a_readable_file(tmp_path):
    path = tmp_path / "r.jsonl"
    script = (
        "import sys, pathlib\nfrom study import results\n"
        "for n in range(10**6): results.append(pathlib.Path(sys.argv[1]), {'key': str(n), 'pad': 'x' * 5000})\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    while not path.exists() or path.stat().st_size < 20_000:
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    rows = results.read(path)
    assert list(rows) == [str(n) for n in range(len(rows))]
    results.append(path, {"key": "after"})
    assert len(results.read(path)) == len(rows) + 1
