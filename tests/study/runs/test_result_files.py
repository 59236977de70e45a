"""Results survive a kill at any byte."""

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core.errors import InvalidInput
from fedrela.study.runs import result_files


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 120))
def test_a_file_cut_anywhere_loses_only_the_line_that_was_cut(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "r.jsonl"
    rows = [{"key": name, "value": value} for name, value in (("a", 1), ("b", 2), ("c", 3))]
    for row in rows:
        result_files.append(path, row)
    body = path.read_bytes()
    path.write_bytes(body[: min(cut, len(body))])
    whole = path.read_bytes().count(b"\n")
    assert list(result_files.read(path)) == ["a", "b", "c"][:whole]
    result_files.append(path, {"key": "d", "value": 4})
    assert list(result_files.read(path)) == [*["a", "b", "c"][:whole], "d"]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"key": "a"}\n{"ke\n{"key": "b"}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        result_files.read(path)


def test_a_killed_writer_leaves_a_readable_file(tmp_path):
    path = tmp_path / "r.jsonl"
    script = (
        "import sys, pathlib\nfrom fedrela.study.runs import result_files\n"
        "for n in range(10**6): result_files.append(pathlib.Path(sys.argv[1]), {'key': str(n), 'pad': 'x' * 5000})\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)])
    while not path.exists() or path.stat().st_size < 20_000:
        assert writer.poll() is None
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    rows = result_files.read(path)
    assert list(rows) == [str(n) for n in range(len(rows))]
    result_files.append(path, {"key": "after"})
    assert len(result_files.read(path)) == len(rows) + 1


def test_what_was_not_measured_is_null_however_deep_it_lies(tmp_path):
    nan = float("nan")
    row = {"key": "a", "measured": {"few": nan, "per_class": (1.0, nan), "matrix": [[nan]]}}
    result_files.append(tmp_path / "r.jsonl", result_files.without_nan(row))
    measured = result_files.read(tmp_path / "r.jsonl")["a"]["measured"]
    assert measured == {"few": None, "per_class": [1.0, None], "matrix": [[None]]}
    with pytest.raises(ValueError, match="JSON"):
        result_files.append(tmp_path / "r.jsonl", row)
    assert list(result_files.read(tmp_path / "r.jsonl")) == ["a"]


def test_two_writers_at_the_same_time_lose_no_line(tmp_path):
    path = tmp_path / "r.jsonl"
    script = (
        "import sys, pathlib\nfrom fedrela.study.runs import result_files\n"
        "path, name = pathlib.Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(60): result_files.append(path, {'key': name + str(n), 'pad': 'x' * 9000})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(path), name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert set(result_files.read(path)) == {f"{name}{n}" for name in "ab" for n in range(60)}
