"""What a bundle holds, as plain data for `fedrela inspect`."""

from collections import Counter
from pathlib import Path
from typing import Any

from fedrela.core.bundle import PROGRAMS, Bundle, ProgramFile
from fedrela.export.audit.dependence import operators


def describe(opened: Bundle) -> dict[str, Any]:
    """Specs, operators, sizes, hashes and signature of a verified bundle."""
    manifest, seal = opened.manifest, opened.seal
    return {
        "name": manifest.name,
        "classes": manifest.classes,
        "class_names": list(manifest.class_names),
        "loss": manifest.loss,
        "optimizer": manifest.optimizer,
        "hyperparameters": manifest.hyperparameters,
        "preprocessing": manifest.preprocessing.kind,
        "resize": manifest.preprocessing.fit,
        "weights": sum(spec.size for spec in manifest.weights),
        "tensors": len(manifest.weights),
        "manifest_sha256": seal.manifest_sha256,
        "weights_sha256": seal.weights_sha256,
        "signature": f"by {seal.public_key}" if seal.signature else "none (unsigned)",
        "publisher": seal.publisher() if seal.signature else "",
        "programs": [_program(opened, name) for name in PROGRAMS],
    }


def _program(opened: Bundle, name: str) -> dict[str, Any]:
    program = getattr(opened.manifest, name)
    return {
        "name": name,
        "inputs": [
            {
                "name": item.name,
                "role": item.role,
                "dtype": item.dtype,
                "shape": "(" + ", ".join(map(str, item.shape)) + ")",
            }
            for item in program.inputs
        ],
        "outputs": list(program.outputs),
        "files": [_file(opened.folder, file) for file in program.files],
    }


def _file(folder: Path, file: ProgramFile) -> dict[str, Any]:
    return {
        "runtime": file.runtime,
        "path": file.path,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "min_runtime_version": file.min_runtime_version,
        "max_batch": file.max_batch,
        "operators": _operators(folder / file.path) if file.runtime == "onnx" else {},
    }


def _operators(path: Path) -> dict[str, int]:
    """Operator -> how often, most frequent first; those within branches too, where onnx is installed."""
    try:
        import onnx
    except ModuleNotFoundError:  # on a device
        return operators(path.read_bytes())
    counted: Counter[str] = Counter()
    pending = [onnx.load(str(path), load_external_data=False).graph]
    while pending:
        graph = pending.pop()
        for node in graph.node:
            counted[node.op_type] += 1
            pending += [attribute.g for attribute in node.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return dict(counted.most_common())
