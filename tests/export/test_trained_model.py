"""A trained model's folder is all that it takes: the lines that are printed predict what PyTorch predicts."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fedrela.coordinator import trained_model
from fedrela.core import bundle
from fedrela.core.errors import InvalidInput
from fedrela.core.manifest import Preprocessing
from fedrela.core.tensors import TensorSpec
from fedrela.edge.sources import pictures
from tests.export.conftest import tiny


def test_the_printed_lines_predict_alike_in_onnxruntime_and_in_pytorch(exported, tmp_path):
    names = ("weights.safetensors", "manifest.json", "predict.onnx")
    contents = {name: (exported.folder / name).read_bytes() for name in names}
    manifest = trained_model.write(tmp_path / "model", contents)
    x = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 5), dtype=np.uint8)
    by_onnxruntime = {"x": x}
    exec(trained_model.onnxruntime_lines(manifest, tmp_path / "model"), by_onnxruntime)
    model = tiny(seed=1)  # with other weights than the bundle's
    by_pytorch = {"model": model, "x": x}
    exec(trained_model.pytorch_lines(manifest, tmp_path / "model"), by_pytorch)
    with torch.no_grad():
        expected = model(torch.from_numpy(x) / 255).softmax(1).numpy()
    np.testing.assert_allclose(by_pytorch["probabilities"].numpy(), expected, rtol=1e-6)
    assert by_onnxruntime["probabilities"].shape == (5, 3)
    np.testing.assert_allclose(by_onnxruntime["probabilities"], expected, rtol=1e-4, atol=1e-6)
    told = trained_model.how_to_use(manifest, tmp_path / "model")
    assert "x uint8 (B, 2, 6, 5)" in told
    assert trained_model.onnxruntime_lines(manifest, tmp_path / "model") in told


def test_a_model_takes_the_place_of_a_former_one_but_never_of_a_bundle_s(exported, tmp_path):
    shutil.copytree(exported.folder, tmp_path / "bundle")
    for name in ("weights.safetensors", "other.safetensors"):
        with pytest.raises(InvalidInput, match="is a bundle"):
            trained_model.save(tmp_path / "bundle", {name: b"new"})
    assert bundle.read_unsigned(tmp_path / "bundle").seal == bundle.read_unsigned(exported.folder).seal
    for body in (b"old", b"new"):
        trained_model.save(tmp_path / "model", {"weights.safetensors": body})
    assert [path.read_bytes() for path in (tmp_path / "model").iterdir()] == [b"new"]


@pytest.mark.parametrize("how", ["crop", "stretch", "exact"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_printed_lines_read_a_picture_as_a_device_does(exported, tmp_path, monkeypatch, how, channels):
    spec = TensorSpec("x", ("B", channels, 12, 16), "uint8")
    preprocessing = Preprocessing("image", grayscale=True, fit=how)
    manifest = replace(exported.manifest, preprocessing=preprocessing, class_names=("cat", "dog", "owl"))
    monkeypatch.setattr(type(manifest), "x", (spec,), raising=False)
    colors = np.random.default_rng(1).integers(0, 256, (12, 16, 3) if how == "exact" else (61, 97, 3), dtype=np.uint8)
    Image.fromarray(colors).save(tmp_path / "picture.png")
    lines, made = trained_model.picture_lines(manifest), {}
    exec(lines.replace("picture.jpg", str(tmp_path / "picture.png")), made)
    with Image.open(tmp_path / "picture.png") as image:
        expected = pictures.tensor(image, 1, "picture.png", spec, preprocessing)
    assert made["x"].dtype == np.uint8
    assert made["x"].shape == (1, channels, 12, 16)
    # The middle is cut out at whole pixels on a device, and between them here.
    assert np.abs(made["x"][0].astype(int) - expected).mean() < (6 if how == "crop" else 1)
    assert "columns of `probabilities`: 0 cat, 1 dog, 2 owl" in trained_model.how_to_use(manifest, tmp_path)
