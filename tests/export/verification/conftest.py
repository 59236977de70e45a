"""Reference models as bundles, each exported once for all tests of a run."""

from collections.abc import Callable

import pytest
import torch

from fedrela.export import export_classifier
from fedrela.export.bundling import Exported
from tests.export.verification.reference_models import MODELS


@pytest.fixture(scope="session")
def reference_bundle(made_once: Callable[..., Exported]) -> Callable[[str, str], Exported]:
    """`reference_bundle("Small CNN", "onnx")`: the narrow form of that model for that runtime."""

    def made(name: str, runtime: str) -> Exported:
        row = MODELS[name]

        def export(folder: object) -> Exported:
            torch.manual_seed(0)
            options = {"input": row.input, "classes": row.classes, "runtimes": (runtime,), "max_batch": 8}
            return export_classifier(row.build(), out=f"{folder}/bundle", **options)

        return made_once(f"{name} for {runtime}", export)

    return made
