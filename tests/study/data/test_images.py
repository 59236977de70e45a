"""Every kind of image collection gives the same arrays; a missing or damaged one says what to do."""

import dataclasses
import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import TensorSpec
from fedrela.emulator.data import own_pictures
from fedrela.study.config import DatasetLocation, load, shipped
from fedrela.study.data import datasets, images
from tests.edge import softmax_bundle

RNG = np.random.default_rng(0)
FIVE = (TensorSpec("x", ("B", 3, 5, 5), "uint8"), Preprocessing("image", fit="crop"))


def png(array):
    out = io.BytesIO()
    Image.fromarray(array.transpose(1, 2, 0) if array.shape[0] == 3 else array[0]).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def pixels():
    return RNG.integers(0, 256, (6, 3, 5, 5), dtype=np.uint8)


def write_folders(folder, pixels, part):
    for index, array in enumerate(pixels):
        path = folder / part / f"class-{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(array))


def test_pictures_that_are_added_or_moved_within_class_folders_are_read_anew(tmp_path, pixels):
    write_folders(tmp_path / "set", pixels[:4], "train")
    write_folders(tmp_path / "set", pixels[4:], "test")

    def counts():
        prepared = datasets.prepare(DatasetLocation("own", "set"), "uint8:3x5x5", tmp_path, tmp_path / "cache")
        return np.bincount(prepared.dataset.y).tolist()

    assert counts() == [2, 2]
    (tmp_path / "set" / "train" / "class-1" / "new.png").write_bytes(png(pixels[0]))
    assert counts() == [2, 3]
    (tmp_path / "set" / "train" / "class-1" / "new.png").rename(tmp_path / "set" / "train" / "class-0" / "new.png")
    assert counts() == [3, 2]


def test_class_folders_and_the_same_zipped(tmp_path, pixels):
    write_folders(tmp_path / "set", pixels[:4], "train")
    write_folders(tmp_path / "set", pixels[4:], "test")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted((tmp_path / "set").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path / "set"))
    for source in (tmp_path / "set", tmp_path / "set.zip"):
        (x, y), test = images.read(source, FIVE)
        assert y.tolist() == [0, 0, 1, 1]
        assert (x == pixels[[0, 2, 1, 3]]).all()
        assert (test[0] == pixels[4:]).all()
        assert test[1].tolist() == [0, 1]


def test_folders_without_a_test_part_hold_some_out(tmp_path, pixels):
    write_folders(tmp_path, pixels, ".")
    prepared = datasets.prepare(
        DatasetLocation("own", str(tmp_path), test_per_class=1), "uint8:3x5x5", tmp_path, tmp_path / "cache"
    )
    assert np.bincount(prepared.dataset.y_test).tolist() == [1, 1]
    assert np.bincount(prepared.dataset.y).tolist() == [2, 2]


def test_idx_files(tmp_path):
    x = RNG.integers(0, 256, (7, 4, 4), dtype=np.uint8)
    y = np.arange(7, dtype=np.uint8)
    for part in ("train", "t10k"):
        head = bytes([0, 0, 8, 3]) + struct.pack(">3I", *x.shape)
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + x.tobytes()))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 7) + y.tobytes())
    (pixels, labels), test = images.read(tmp_path, None)
    assert (pixels[:, 0] == x).all()
    assert labels.tolist() == list(range(7))
    assert test is not None
    with zipfile.ZipFile(tmp_path / "as-it-comes.zip", "w") as archive:
        archive.writestr("set/README.txt", "what it is")
        for path in sorted(tmp_path.glob("*ubyte*")):
            archive.write(path, f"set/{path.name}")
    zipped = images.read(tmp_path / "as-it-comes.zip", None)
    assert all((part == other).all() for part, other in zip(zipped[0], (pixels, labels), strict=True))
    assert all((part == other).all() for part, other in zip(zipped[1], test, strict=True))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"rubbish")
    with pytest.raises(InvalidData, match="train-labels"):
        images.read(tmp_path, None)


def test_cifar_batches_hold_arrays_and_run_no_code(tmp_path, pixels):
    rows = RNG.integers(0, 256, (2, 3072), dtype=np.uint8)
    for name in (*[f"data_batch_{n}" for n in range(1, 6)], "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": rows, b"labels": [3, 1]}))
    (x, y), test = images.read(tmp_path, None)
    assert x.shape == (10, 3, 32, 32)
    assert y.tolist() == [3, 1] * 5
    assert test[0].shape == (2, 3, 32, 32)

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Evil()}))
    with pytest.raises(InvalidData, match="test_batch"):
        images.read(tmp_path, None)
    assert not (tmp_path / "ran").exists()


def test_cifar_100_has_one_batch_and_fine_labels(tmp_path):
    rows = RNG.integers(0, 256, (3, 3072), dtype=np.uint8)
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        batch = {b"data": rows, b"fine_labels": [7, 99, 0], b"coarse_labels": [1, 2, 3], b"batch_label": name}
        (folder / name).write_bytes(pickle.dumps(batch))
    for source in (folder, tmp_path):  # the folder itself, or where the archive was unpacked
        (x, y), test = images.read(source, None)
        assert y.tolist() == [7, 99, 0]
        assert (x.reshape(3, -1) == rows).all()
        assert test[1].tolist() == [7, 99, 0]
    prepared = datasets.prepare(
        DatasetLocation("CIFAR-100", str(tmp_path)), "uint8:3x32x32", tmp_path, tmp_path / "cache"
    )
    assert prepared.dataset.classes == 100


def test_cifar_pixels_are_red_then_green_then_blue_row_by_row(tmp_path):
    planes = np.concatenate([np.full(1024, 10), np.full(1024, 20), np.arange(1024) % 256]).astype(np.uint8)
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": planes[None], b"fine_labels": [0]}))
    (x, _), _ = images.read(tmp_path, None)
    assert (x[0, 0] == 10).all()
    assert (x[0, 1] == 20).all()
    assert x[0, 2, 0].tolist() == list(range(32))


@pytest.mark.parametrize("name", [name for name in shipped() if load(name)[0].data.path != "digits"])
def test_missing_data_say_where_to_get_them_and_where_to_put_them(tmp_path, name):
    study, _ = load(name)
    with pytest.raises(InvalidData) as caught:
        datasets.prepare(study.data, study.model.input, tmp_path, tmp_path / "cache")
    assert str(tmp_path / study.data.path) in caught.value.problem
    for hint in ("--data", "data.path", "cs.toronto.edu", "fashion-mnist", "class folders"):
        assert hint in caught.value.remedy


def test_a_folder_without_images_and_a_file_of_another_kind_are_refused(tmp_path):
    with pytest.raises(InvalidData, match="no class folders"):
        images.read(tmp_path, None)
    (tmp_path / "a.tar.gz").write_bytes(b"")
    with pytest.raises(InvalidData, match="no dataset"):
        images.read(tmp_path / "a.tar.gz", None)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2, 2))
    with pytest.raises(InvalidData) as caught:
        images.read(tmp_path, None)
    assert "all four files" in caught.value.remedy


@pytest.mark.parametrize("content", [b"not a zip", b""])
def test_a_damaged_zip_is_named(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InvalidData, match=r"a\.zip"):
        images.read(tmp_path / "a.zip", None)


def test_the_cache_is_used_and_the_fingerprint_is_of_the_values(tmp_path, pixels):
    write_folders(tmp_path / "one", pixels, "train")
    write_folders(tmp_path / "one", pixels, "test")
    write_folders(tmp_path / "two", pixels, "train")
    write_folders(tmp_path / "two", pixels, "test")
    first = datasets.prepare(DatasetLocation("a", "one"), "uint8:3x5x5", tmp_path, tmp_path / "cache")
    again = datasets.prepare(DatasetLocation("a", "one"), "uint8:3x5x5", tmp_path, tmp_path / "cache")
    other = datasets.prepare(DatasetLocation("a", "two"), "uint8:3x5x5", tmp_path, tmp_path / "cache")
    assert first.npz == again.npz
    assert first.sha256 == again.sha256 == other.sha256
    digits = datasets.prepare(DatasetLocation(), "uint8:1x8x8", tmp_path, tmp_path / "cache")
    assert digits.dataset.x.shape[1:] == (1, 8, 8)
    assert digits.sha256 != first.sha256


def test_links_to_folders_are_followed_and_a_folder_in_itself_is_read_once(tmp_path):
    pictures = tmp_path / "my-pictures"
    for name in ("cat", "dog"):
        (pictures / name).mkdir(parents=True)
        Image.fromarray(RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(pictures / name / "one.png")
    (pictures / "cat" / "again").symlink_to(pictures)
    both = tmp_path / "both"
    both.mkdir()
    for part in ("train", "test"):
        (both / part).symlink_to(pictures)
    (x, y), test = images.read(both, FIVE)
    assert y.tolist() == [0, 1]
    assert x.shape == (2, 3, 5, 5)
    assert test is not None


def test_photos_are_read_as_on_a_device(tmp_path):
    photos = tmp_path / "photos"
    for name, sizes in (("0", ((9, 14, 3), (31, 8, 3))), ("1", ((5, 5, 3), (6, 7, 4)))):
        (photos / name).mkdir(parents=True)
        (photos / name / "._one.png").write_bytes(b"a Mac's note on a picture")
        for number, size in enumerate(sizes):
            picture = Image.fromarray(RNG.integers(0, 256, size, dtype=np.uint8))
            lying = Image.Exif()
            lying[0x0112] = 6  # turn it right to see it upright
            picture.save(photos / name / f"{number}.png", exif=lying if number else Image.Exif())
    manifest = softmax_bundle.write(tmp_path / "bundle").manifest
    how = Preprocessing("image", grayscale=True, fit="crop")
    x, y = own_pictures.load(photos, dataclasses.replace(manifest, preprocessing=how))
    (ours, labels), test = images.read(photos, (manifest.x[0], how))
    assert test is None
    assert (ours == x).all()
    assert labels.tolist() == y.tolist() == [0, 0, 1, 1]


def test_arrays_are_fitted_as_on_a_device(tmp_path):
    rows = RNG.integers(0, 256, (3, 3072), dtype=np.uint8)
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(pickle.dumps({b"data": rows, b"fine_labels": [7, 99, 0]}))
    (x, _), _ = images.read(tmp_path, FIVE)
    assert x.shape == (3, 3, 5, 5)


def test_pictures_for_a_model_that_takes_none_are_refused(tmp_path, pixels):
    write_folders(tmp_path, pixels, "train")
    with pytest.raises(InvalidData, match="takes no pictures"):
        datasets.prepare(DatasetLocation("own", str(tmp_path)), "float32:8", tmp_path, tmp_path / "cache")


def test_a_picture_that_cannot_be_read_is_named(tmp_path, pixels):
    write_folders(tmp_path, pixels, "train")
    (tmp_path / "train" / "class-0" / "broken.jpg").write_bytes(b"rubbish")
    with pytest.raises(InvalidData, match=r"broken\.jpg"):
        images.read(tmp_path, FIVE)
