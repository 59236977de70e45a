"""The Python that has onnxruntime-training 1.19.2, in an environment of its own: the package was retired with that
release and needs numpy 1 and onnx 1.16.

    python = environment(build_in=Path("ort-training-env"))       # the first time this builds it
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fedrela.core.errors import MissingDependency

REQUIREMENTS = ("torch==2.13.0", "onnxruntime-training-cpu==1.19.2", "onnx==1.16.2", "numpy<2")
NEWEST_PYTHON = (3, 11)  # that the package has wheels for
DEFAULT_ENVIRONMENT = Path.home() / ".cache" / "fedrela" / "ort-training-1.19.2"


def environment(
    *, python: Path | None = None, build_in: Path | None = None, report: Callable[[str], None] = lambda stage: None
) -> Path:
    """The Python that has onnxruntime-training: `python`, or the one in `build_in`, which is built if it isn't there.

    Raises MissingDependency where it can't be built or lacks the package.
    """
    if python is None:
        folder = build_in or DEFAULT_ENVIRONMENT
        python = folder / "bin" / "python"
        if not (folder / "complete").is_file():
            _build(folder, report)
    # Without the caller's folder, as -P would have it; a Python that has the package may be too old to know -P.
    check = "import sys; sys.path[:] = filter(None, sys.path); import onnx, onnxruntime.training.artifacts"
    done = run([str(python), "-c", check])
    if done.returncode:
        raise MissingDependency(
            f"{python} can't import onnxruntime.training ({_last_line(done.stderr)})",
            remedy=f"make an environment with: pip install {' '.join(map(repr, REQUIREMENTS))}; Python 3.11 or older",
        )
    return python


def _build(folder: Path, report: Callable[[str], None]) -> None:
    maker = _suitable_python()
    report(f"ort-training: building the environment {folder} (1 GB, or more where torch comes with CUDA; once)")
    made = run([str(maker), "-I", "-m", "venv", "--clear", str(folder)])
    done = made if made.returncode else run([str(folder / "bin" / "pip"), "install", "--quiet", *REQUIREMENTS])
    if done.returncode:
        raise MissingDependency(
            f"onnxruntime-training could not be installed into {folder} ({_last_line(done.stderr)})",
            remedy="try again with access to PyPI, or name a Python that has it: --ort-training-python",
        )
    (folder / "complete").touch()


def _suitable_python() -> Path:
    """A Python that the package has wheels for: this one, or one on the PATH. Raises MissingDependency."""
    if sys.version_info[:2] <= NEWEST_PYTHON:
        return Path(sys.executable)
    names = [f"python3.{minor}" for minor in range(NEWEST_PYTHON[1], 8, -1)]
    interpreter = next((path for name in names if (path := shutil.which(name))), None)
    if interpreter is None:
        raise MissingDependency(
            f"onnxruntime-training 1.19.2 needs Python 3.{NEWEST_PYTHON[1]} or older, and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}",
            remedy=f"install python3.{NEWEST_PYTHON[1]}, or name a Python that has the package: --ort-training-python",
        )
    return Path(interpreter)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command printed, and how it ended; 127 where it can't be started."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why a child ended; a runtime that crashes says nothing of it itself."""
    return f"it crashed: {signal.strsignal(-done.returncode)}" if done.returncode < 0 else _last_line(done.stderr)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[-300:] if lines else "no message"
