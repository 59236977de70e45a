"""No engine is given a program that reaches out of its file."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from fedrela.conformance.files import VECTORS
from fedrela.core.bundle import PROGRAMS, Bundle, read
from fedrela.edge.engines.engine import UnloadableProgram
from fedrela.edge.engines.executorch_engine import ExecutorchEngine
from fedrela.edge.engines.onnx_engine import OnnxEngine


def test_bytes_that_are_no_program_are_refused_before_a_runtime_sees_them(small_bundle: Bundle) -> None:
    with pytest.raises(UnloadableProgram, match="not an ONNX file"):
        OnnxEngine(small_bundle.manifest, dict.fromkeys(("train_step", "predict", "relabel"), b"not a model"))


def test_a_program_that_names_an_owner_s_file_reads_nothing_of_it(small_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    model = onnx.ModelProto.FromString((small_bundle.folder / "predict.onnx").read_bytes())
    key = onnx.helper.make_tensor("key", onnx.TensorProto.FLOAT, [4], np.zeros(4, np.float32))
    key.ClearField("float_data")
    key.data_location = onnx.TensorProto.EXTERNAL
    key.external_data.add(key="location", value=str(tmp_path / "id_ed25519"))
    model.graph.initializer.append(key)
    programs = {name: (small_bundle.folder / f"{name}.onnx").read_bytes() for name in ("train_step", "relabel")}
    with pytest.raises(UnloadableProgram, match="program predict holds the field"):
        OnnxEngine(small_bundle.manifest, programs | {"predict": model.SerializeToString()})


def test_a_pte_file_with_a_kernel_that_is_not_listed_is_not_loaded() -> None:
    folder = VECTORS / "golden"
    opened = read(folder)
    programs = {name: (folder / f"{name}.pte").read_bytes() for name in PROGRAMS}
    hostile = programs["predict"].replace(b"aten::relu", b"aten::rand")
    assert hostile != programs["predict"]
    ExecutorchEngine(opened.manifest, programs)
    with pytest.raises(UnloadableProgram, match="program predict holds"):
        ExecutorchEngine(opened.manifest, programs | {"predict": hostile})
