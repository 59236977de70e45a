"""A trained model's folder is all that it takes: the lines that are printed predict what PyTorch predicts."""

import numpy as np
import torch

from fedrela.coordinator import trained_model
from tests.export.conftest import tiny


def test_the_printed_lines_predict_alike_in_onnxruntime_and_in_pytorch(exported, tmp_path):
    names = ("weights.safetensors", "manifest.json", "predict.onnx")
    contents = {name: (exported.folder / name).read_bytes() for name in names}
    manifest = trained_model.write(tmp_path / "model", contents)
    x = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 5), dtype=np.uint8)
    by_onnxruntime = {"x": x}
    exec(trained_model.onnxruntime_lines(manifest, tmp_path / "model"), by_onnxruntime)
    model = tiny(seed=1)  # with other weights than the bundle's
    exec(trained_model.pytorch_lines(tmp_path / "model"), {"model": model})
    with torch.no_grad():
        expected = model(torch.from_numpy(x) / 255).softmax(1).numpy()
    assert by_onnxruntime["probabilities"].shape == (5, 3)
    np.testing.assert_allclose(by_onnxruntime["probabilities"], expected, rtol=1e-4, atol=1e-6)
    told = trained_model.how_to_use(manifest, tmp_path / "model")
    assert "x uint8 (B, 2, 6, 5)" in told
    assert trained_model.onnxruntime_lines(manifest, tmp_path / "model") in told
