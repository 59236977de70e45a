"""The Python device makes of pictures what the vectors say."""

import base64
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fedrela.conformance.files import read_json
from fedrela.conformance.image_cases import REFUSALS
from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import TensorSpec
from fedrela.edge.sources import orientation, picture_files, pictures

DOCUMENT = read_json("images.json")


def test_boxes():
    for case in DOCUMENT["boxes"]:
        size, target = tuple(case["size"]), tuple(case["target"])
        assert list(pictures.crop_box(size, target)) == case["crop"]
        assert list(pictures.pad_box(size, target)) == case["pad"]


def test_orientations():
    for case in DOCUMENT["exif"]:
        assert orientation.parse(bytes.fromhex(case["block"])) == case["orientation"]
    assert {case["orientation"] for case in DOCUMENT["exif"]} == set(range(1, 9))


@pytest.mark.parametrize("case", DOCUMENT["tensors"], ids=lambda case: case["name"])
def test_tensors(case: dict[str, Any]):
    rgba = np.frombuffer(base64.b64decode(case["rgba"]), np.uint8)
    image = Image.fromarray(np.resize(rgba, (case["height"], case["width"], 4)))
    spec, how = TensorSpec("x", ("B", *case["shape"]), "uint8"), Preprocessing("image", **case["preprocessing"])
    if "refused" in case:
        with pytest.raises(InvalidData, match=REFUSALS[case["refused"]]):
            pictures.tensor(image, case["orientation"], "it", spec, how)
        return
    got = pictures.tensor(image, case["orientation"], "it", spec, how)
    assert got.shape == tuple(case["shape"])
    assert got.tobytes() == base64.b64decode(case["expected"])


@pytest.mark.parametrize("case", DOCUMENT["files"], ids=lambda case: case["name"])
def test_files(case: dict[str, Any]):
    body = base64.b64decode(case["body"])
    if "refused" in case:
        with pytest.raises(InvalidData, match=REFUSALS[case["refused"]]):
            picture_files.decode(body, "it")
        return
    image, turned = picture_files.decode(body, "it")
    assert (image.width, image.height, turned) == (case["width"], case["height"], case["orientation"])
    assert pictures.over_white(image).convert("RGB").tobytes() == base64.b64decode(case["rgb"])
