"""Photos of three phones as their owners have them: each is read as its pixels alone would be, turned upright."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from fedrela.core.bundle import Manifest, Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.owner.cli import app
from fedrela.edge.sources import images, orientation, picture_files, pictures
from tests.edge.conftest import with_x
from tests.edge.sources.phone_photos import PHONES, heic, jpeg, picture

SPEC, CROP = TensorSpec("x", ("B", 3, 32, 32), "uint8"), Preprocessing("image", fit="crop")


@pytest.fixture(scope="module")
def plain() -> bytes:
    """What a phone's sensor has seen, as a JPEG without any description."""
    return jpeg(picture())


@pytest.fixture(scope="module")
def upright() -> Array:
    """What a model is to see of it, where the phone was held upright."""
    return pictures.tensor(orientation.upright(picture(), 6), 1, "it", SPEC, CROP)


@pytest.mark.parametrize("phone", PHONES)
def test_a_photo_is_its_pixels_turned_upright(phone: str, plain: bytes, upright: Array) -> None:
    seen = images.decode(PHONES[phone](plain, 6), "it", SPEC, CROP)
    assert np.abs(seen.astype(int) - upright).max() <= 4  # JPEG's own loss
    small = jpeg(picture((64, 48)))
    for turned in (1, 3, 8):  # the other ways to hold it
        image, found = picture_files.decode(PHONES[phone](small, turned), "it")
        assert (image.size, found) == ((64, 48), turned)


@pytest.mark.parametrize("phone", PHONES)
def test_pillow_sees_what_that_phone_writes(phone: str) -> None:
    """So that the family is what phones write and not what we believe: the descriptions are read by somebody else."""
    with Image.open(io.BytesIO(PHONES[phone](jpeg(picture((64, 48))), 6))) as opened:
        assert opened.getexif()[0x0112] == 6
        assert opened.format in ("JPEG", "MPO")
        assert getattr(opened, "n_frames", 1) == (2 if phone == "iphone" else 1)  # it leaves Ultra HDR's second one out
        assert ("icc_profile" in opened.info) == (phone == "iphone")
        assert any(name == "APP1" and b"hdrgm" in body for name, body in opened.applist) == (phone == "pixel")  # type: ignore[attr-defined]


def test_pictures_of_two_frames_and_of_another_profile_are_their_first_frame(plain: bytes) -> None:
    small, second = picture((64, 48)), Image.new("RGB", (64, 48), (1, 2, 3))
    pair, screenshot = io.BytesIO(), io.BytesIO()
    small.save(pair, "MPO", save_all=True, append_images=[second], quality=90)
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("Software", "a phone")
    small.save(screenshot, "PNG", icc_profile=b"Display P3" * 50, pnginfo=chunk)

    def pixels(body: bytes) -> list[int]:
        return np.asarray(picture_files.decode(body, "it")[0]).ravel().tolist()

    assert pixels(pair.getvalue()) == pixels(jpeg(small))
    assert pixels(screenshot.getvalue()) == np.asarray(small).ravel().tolist()


def test_what_phones_write_and_nobody_reads_is_named() -> None:
    with pytest.raises(InvalidData, match=r"IMG_1\.jpg can't be decoded .*it is HEIC, whatever its name says"):
        picture_files.decode(heic(), "IMG_1.jpg")
    with pytest.raises(InvalidData, match="it is AVIF, whatever its name says"):
        picture_files.decode(heic().replace(b"heic", b"avif"), "it")


def test_an_owner_sees_what_is_read_of_a_camera_folder(plain: bytes, tmp_path: Path) -> None:
    camera = tmp_path / "photos" / "cat"
    camera.mkdir(parents=True)
    names = {"iphone": "IMG_4711.JPG", "pixel": "PXL_20261129_081500123.MP.jpg", "samsung": "20261129_081500.jpg"}
    for phone, name in names.items():
        (camera / name).write_bytes(PHONES[phone](plain, 6))
    (camera / "IMG_4712.HEIC").write_bytes(heic())
    (camera / "IMG_4713.JPG").write_bytes(heic())
    for beside in ("IMG_4711.MOV", "IMG_4711.AAE"):
        (camera / beside).write_bytes(b"beside a photo")
    words = ["device", "check", "--data", str(tmp_path / "photos"), "--state", str(tmp_path / "state"), "--json"]
    told = json.loads(CliRunner().invoke(app, words).output.splitlines()[0])
    assert (told["per_class"], told["sizes"]) == ({"cat": 3}, "4032x3024")
    assert told["left_out"] == {
        "not named as a picture": 2,
        "of the format .heic, which is not read (save as JPEG or PNG)": 1,
    }
    (problem,) = told["problems"]
    assert "IMG_4713.JPG" in problem


def test_a_round_trains_on_them(plain: bytes, tmp_path: Path, manifest: Manifest) -> None:
    model = with_x(manifest, ("B", 3, 32, 32), "uint8", kind="image", fit="crop")
    for name, phone in zip(model.class_names, PHONES, strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_bytes(PHONES[phone](plain, 8))
    examples = images.folder(tmp_path)(model)
    assert sorted(examples.y.tolist()) == [0, 1, 2]
