"""Processes that run a bundle: whatever becomes of them, it is said, and none outlives its `with`."""

from pathlib import Path

import psutil
import pytest

from fedrela.core.errors import VerificationFailed
from fedrela.export.verification.fresh_process import FreshProcess


def test_a_folder_that_holds_no_bundle_is_a_sentence(tmp_path: Path) -> None:
    with FreshProcess("onnx") as process:
        process.begin(tmp_path)
        with pytest.raises(VerificationFailed, match="onnx: "):
            process.result()


def test_a_runtime_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path) -> None:
    with FreshProcess("onnx") as process:
        psutil.Process(process.id).kill()
        process.begin(tmp_path)
        with pytest.raises(VerificationFailed, match=r"onnx runtime could not run the programs \(exit status -9"):
            process.result()


def test_no_process_outlives_an_export_that_failed() -> None:
    with pytest.raises(RuntimeError), FreshProcess("onnx") as process:
        raise RuntimeError
    assert not psutil.pid_exists(process.id)
