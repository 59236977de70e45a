"""A sealed process can compute, and nothing else: attempt by attempt, and each measure without the others."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from fedrela.edge.sandbox.seal import Confinement, confinement_here, filter_program
from fedrela.edge.sandbox.system_calls import KINDS
from tests.edge.sandbox.attempts import CALLS, OF_FILES
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[3]


@pytest.fixture
def victim() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"])
    yield process.pid
    assert process.poll() is None, "the victim was killed"
    process.kill()
    process.wait()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "photo"
    file.write_bytes(b"the owner's")
    yield file
    assert file.read_bytes() == b"the owner's"
    assert [entry.name for entry in tmp_path.iterdir()] == ["photo"]


def attempted(measure: str, path: Path, victim: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.edge.sandbox.attempts", measure, str(path), str(victim)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def results(measure: str, path: Path, victim: int) -> dict[str, str]:
    done = attempted(measure, path, victim)
    assert done.returncode == 0, (done.returncode, done.stderr)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_whatever_a_sealed_process_tries_is_refused(path: Path, victim: int) -> None:
    tried = results("seal", path, victim)
    assert tried.pop("measure").startswith("seccomp")
    assert tried.pop("permitted") == "3 threads"
    assert len(tried) > 40
    assert {name: result for name, result in tried.items() if result == "done"} == {}
    refused = {f"refused: {errno.EPERM}", f"refused: {errno.ENOSYS}"}
    assert {name: result for name, result in tried.items() if result not in refused} == {}
    assert set(CALLS) <= set(tried)


def test_landlock_alone_keeps_files_from_it(tmp_path: Path, victim: int) -> None:
    (tmp_path / "photo").touch()
    tried = results("landlock", tmp_path / "photo", victim)
    assert tried["measure"] == str("landlock" in confinement_here())
    if tried["measure"] == "False":  # an older kernel, where seccomp has to do
        return
    assert {name: tried[name] for name in OF_FILES} == dict.fromkeys(OF_FILES, f"refused: {errno.EACCES}")


def test_limits_alone_leave_no_room_for_a_descriptor(tmp_path: Path, path: Path, victim: int) -> None:
    script = (
        "import os, sys\n"
        "from fedrela.edge.sandbox import seal\n"
        "seal._limit(1 << 40)\n"
        "try:\n    os.open(sys.argv[1], os.O_RDONLY)\n"
        "except OSError as error:\n    sys.stdout.write(str(error.errno))\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == str(errno.EMFILE), done.stderr


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only x86-64 has a second table of system calls")
def test_calls_by_another_table_end_the_process(path: Path, victim: int) -> None:
    assert attempted("other table", path, victim).returncode == -signal.SIGSYS


def test_a_confinement_says_what_holds_and_why_not() -> None:
    assert (str(Confinement(("seccomp", "landlock"))), bool(Confinement(("seccomp",)))) == ("seccomp+landlock", True)
    without = Confinement(("landlock",), "seccomp: Function not implemented")
    assert (str(without), bool(without)) == ("none (seccomp: Function not implemented)", False)


@pytest.mark.parametrize("name", KINDS)
def test_a_filter_is_short_enough_for_the_kernel_and_jumps_within_itself(name: str) -> None:
    program = filter_program(KINDS[name], 4711)
    count = len(program) // 8
    assert count <= 4096
    for at in range(count):
        code, if_true, if_false = program[8 * at], program[8 * at + 2], program[8 * at + 3]
        if code & 7 == 5:  # a jump
            assert at + 1 + max(if_true, if_false) < count
    assert program[-8] == 6  # returns


def test_a_runtime_that_a_program_sends_to_a_file_gets_none(tmp_path: Path) -> None:
    """The second line: a program that names the owner's key as its data, had no check of programs refused it."""
    (tmp_path / "id_ed25519").write_bytes(bytes(range(48)))
    body = tmp_path / "program"
    body.write_bytes(program_with_external_data("id_ed25519"))
    script = (
        "import pathlib, sys, onnxruntime\n"
        "from fedrela.edge.sandbox import seal, warm_up\n"
        "body = pathlib.Path(sys.argv[1]).read_bytes()\n"
        "warm_up.load('onnx', 1)\n"
        "if sys.argv[2] == 'sealed':\n    seal.seal(memory_bytes=1 << 40)\n"
        "options = onnxruntime.SessionOptions()\n"
        "options.log_severity_level = 4\n"
        "try:\n"
        "    session = onnxruntime.InferenceSession(body, options, providers=['CPUExecutionProvider'])\n"
        "    print(session.run(None, {})[0].tobytes() == bytes(range(48)))\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    for sealed, read in (("open", True), ("sealed", False)):
        command = [sys.executable, "-c", script, str(body), sealed]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.stdout == "True\n") == read, done.stdout + done.stderr


def program_with_external_data(location: str) -> bytes:
    """y = the 48 bytes of a file in the working folder."""
    tensor = onnx.TensorProto(name="theirs", data_type=onnx.TensorProto.UINT8, dims=[48])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "48")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [48])
    node = onnx.helper.make_node("Identity", ["theirs"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [], [output], [tensor])
    opset = onnx.helper.make_opsetid("", 17)
    return bytes(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
