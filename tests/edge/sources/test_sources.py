"""Local data from every format, and a clear error for whatever can't be used."""

import gzip
import io
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedrela.core.bundle import Manifest, Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array
from fedrela.edge.sources import cifar, idx, open_source
from fedrela.edge.training.examples import DataSource, Examples, check
from tests.edge.conftest import with_x


def picture(value: int, size: tuple[int, int] = (4, 4), mode: str = "L") -> bytes:
    body = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(body, "PNG")
    return body.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name, value in (("bee/1.png", 10), ("cat/1.png", 20), ("cat/2.png", 30)):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(picture(value))
    return tmp_path / "photos"


def test_a_folder_of_class_folders_in_the_manifests_order(photos: Path, manifest: Manifest) -> None:
    (photos / "cat" / ".hidden.png").write_bytes(b"")
    (photos / "cat" / "notes.txt").write_bytes(b"")
    examples = open_source(str(photos))(manifest)
    check(examples, manifest)
    assert examples.y.tolist() == [1, 2, 2]
    assert examples.x["x"][:, 0, 0, 0].tolist() == [10, 20, 30]


def test_a_picture_is_known_by_its_pixels_and_not_by_its_name(photos: Path, manifest: Manifest) -> None:
    source = open_source(str(photos))
    before = source(manifest)
    (photos / "bee" / "1.png").rename(photos / "cat" / "0.png")
    (photos / "cat" / "2.png").write_bytes(picture(77))
    after = source(manifest)
    assert after.keys[:2].tolist() == before.keys[:2].tolist()
    assert after.keys[2] != before.keys[2]


def test_new_files_are_picked_up_and_old_ones_keep_their_keys(photos: Path, manifest: Manifest) -> None:
    source = open_source(str(photos))
    before = source(manifest)
    (photos / "ant").mkdir()
    (photos / "ant" / "0.png").write_bytes(picture(5))
    (photos / "cat" / "2.png").unlink()
    after = source(manifest)
    assert after.y.tolist() == [0, 1, 2]
    assert after.keys[1:].tolist() == before.keys[:2].tolist()


def test_a_zip_gives_the_same_as_its_folder(photos: Path, manifest: Manifest, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.write(path, f"data/train/{path.relative_to(photos)}")
        archive.writestr("data/test/ant/9.png", picture(99))
        archive.writestr("../../ant/evil.png", picture(1))
    packed, plain = open_source(str(tmp_path / "photos.zip"))(manifest), open_source(str(photos))(manifest)
    assert packed.y.tolist() == plain.y.tolist()
    np.testing.assert_array_equal(packed.x["x"], plain.x["x"])
    assert packed.keys.tolist() == plain.keys.tolist()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "photos.zip"]


def test_images_are_resized_and_grayed_only_if_the_manifest_allows(photos: Path, manifest: Manifest) -> None:
    (photos / "ant").mkdir()
    (photos / "ant" / "big.png").write_bytes(picture(200, (9, 5), "RGB"))
    assert open_source(str(photos))(manifest).x["x"].shape == (4, 1, 4, 4)
    strict = replace(manifest, preprocessing=Preprocessing("image", grayscale=True))
    with pytest.raises(InvalidData, match=r"ant/big\.png is 9x5 and the model takes 4x4"):
        open_source(str(photos))(strict)
    with pytest.raises(InvalidData, match=r"ant/big\.png is colored"):
        open_source(str(photos))(replace(manifest, preprocessing=Preprocessing("image", resize=True)))


@pytest.mark.parametrize("body", [b"", b"no image", picture(3)[:-20], picture(3)[:40]])
def test_a_damaged_image_is_named(photos: Path, manifest: Manifest, body: bytes) -> None:
    (photos / "bee" / "torn.png").write_bytes(body)
    with pytest.raises(InvalidData, match=r"bee/torn\.png can't be decoded"):
        open_source(str(photos))(manifest)


def test_deep_images_are_refused_and_not_cut_off(photos: Path, manifest: Manifest) -> None:
    deeper: tuple[Array, Array] = (np.full((4, 4), 40_000, np.uint16), np.full((4, 4), 0.5, np.float32))
    for number, deep in enumerate(deeper):
        path = photos / "bee" / f"deep{number}.tif"
        Image.fromarray(deep).save(path)
        with pytest.raises(InvalidData, match=rf"bee/deep{number}\.tif has more than 8 bits.*convert it to 8 bits"):
            open_source(str(photos))(manifest)
        path.unlink()


def test_what_can_not_be_read_is_named(photos: Path, manifest: Manifest, tmp_path: Path) -> None:
    (photos / "bee" / "gone.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InvalidData, match=r"bee/gone\.png can't be read"):
        open_source(str(photos))(manifest)


def test_a_damaged_or_encrypted_zip_is_a_clear_error_whatever_the_damage(manifest: Manifest, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("cat/1.png", picture(9) * 3)
    whole, faults = archive.read_bytes(), []
    for place in range(len(whole)):
        archive.write_bytes(whole[:place] + bytes([whole[place] ^ 0x4D]) + whole[place + 1 :])
        try:
            open_source(str(archive))(manifest)
        except InvalidData as fault:
            faults.append(fault.remedy)
    assert len(faults) > len(whole) / 4
    assert all(faults)
    encrypted = bytearray(whole)
    for record in (b"PK\3\4", b"PK\1\2"):  # the flag is the first bit of the third or fourth field
        encrypted[whole.index(record) + (6 if record == b"PK\3\4" else 8)] |= 1
    archive.write_bytes(encrypted)
    with pytest.raises(InvalidData, match=r"cat/1\.png can't be read \(.*encrypted"):
        open_source(str(archive))(manifest)


def test_new_members_of_a_zip_are_picked_up(manifest: Manifest, tmp_path: Path) -> None:
    archive = tmp_path / "photos.zip"
    source = open_source_of(archive, "cat/1.png")
    before = source(manifest)
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("ant/1.png", picture(7))
    after = source(manifest)
    assert (before.y.tolist(), after.y.tolist()) == ([2], [0, 2])
    assert after.keys[1] == before.keys[0]


def open_source_of(archive: Path, *names: str) -> DataSource:
    with zipfile.ZipFile(archive, "w") as packed:
        for name in names:
            packed.writestr(name, picture(9))
    return open_source(str(archive))


def test_classes_that_the_model_lacks_are_refused(photos: Path, manifest: Manifest) -> None:
    (photos / "dog").mkdir()
    (photos / "dog" / "1.png").write_bytes(picture(1))
    with pytest.raises(InvalidData, match="no class 'dog'; name it one of ant, bee, cat"):
        open_source(str(photos))(manifest)
    (photos / "ant").mkdir()
    (photos / "ant" / "1.png").write_bytes(picture(1))
    with pytest.raises(InvalidData, match="export the model with --class-names"):
        open_source(str(photos))(replace(manifest, class_names=()))


def test_an_empty_or_missing_folder_says_what_to_do(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(InvalidData, match="make a folder for each class"):
        open_source(str(tmp_path))(manifest)
    with pytest.raises(InvalidData, match="there is no"):
        open_source(str(tmp_path / "none"))
    for nameless in ("", "  "):  # not the working folder
        with pytest.raises(InvalidData, match="no data are named"):
            open_source(nameless)
    (tmp_path / "data.bin").write_bytes(b"")
    with pytest.raises(InvalidData, match="no known format"):
        open_source(str(tmp_path / "data.bin"))


def test_idx(tmp_path: Path, manifest: Manifest) -> None:
    pixels = np.arange(3 * 16, dtype=np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(struct.pack(">4I", 0x803, 3, 4, 4) + pixels.tobytes())
    )
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(struct.pack(">2I", 0x801, 3) + bytes([2, 0, 1])))
    examples = open_source(str(tmp_path))(manifest)
    check(examples, manifest)
    assert examples.y.tolist() == [2, 0, 1]
    assert examples.x["x"].reshape(-1).tolist() == pixels.tolist()
    for body, message in (
        (gzip.compress(struct.pack(">2I", 0x801, 4) + bytes(4)), "3 images and .* 4 labels"),
        (gzip.compress(struct.pack(">2I", 0x801, 3) + bytes(2)), "cut short"),
        (gzip.compress(struct.pack(">2I", 0x803, 3) + bytes(3)), "not an IDX file"),
        (b"\x1f\x8bbroken", "can't be read"),
    ):
        labels.write_bytes(body)
        with pytest.raises(InvalidData, match=message):
            idx.read(tmp_path)


def test_cifar_batches(tmp_path: Path, manifest: Manifest) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072), dtype=np.uint8)
    for number in (1, 2):
        rows = slice(2 * number - 2, 2 * number)
        body = pickle.dumps({b"data": pixels[rows], b"labels": [number, 0], b"filenames": [b"a", b"b"]}, protocol=2)
        (tmp_path / f"data_batch_{number}").write_bytes(body)
    color = with_x(manifest, ("B", 3, 32, 32), "uint8", kind="image")
    examples = open_source(str(tmp_path))(color)
    check(examples, color)
    assert examples.y.tolist() == [1, 0, 2, 0]
    np.testing.assert_array_equal(examples.x["x"].reshape(4, -1), pixels)
    small = open_source(str(tmp_path))(manifest)  # 4x4 and gray, as this manifest allows
    assert small.x["x"].shape == (4, 1, 4, 4)


class Evil:
    """Its pickle would create a file."""

    def __reduce__(self) -> tuple:
        return (open, ("evil", "w"))


def test_a_pickle_can_not_run_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for payload in (Evil(), {b"data": Evil()}, np.array([Evil()], dtype=object)):
        (tmp_path / "train").write_bytes(pickle.dumps(payload))
        with pytest.raises(InvalidData, match="not a CIFAR batch"):
            cifar.read(tmp_path)
    assert not (tmp_path / "evil").exists()


def test_a_damaged_pickle_takes_no_memory(tmp_path: Path) -> None:
    """A value is kept in place 16,777,216: the unpickler would make room for all before it."""
    (tmp_path / "train").write_bytes(b"\x80\2}r\0\0\0\1.")
    with pytest.raises(InvalidData, match="a value has no place"):
        cifar.read(tmp_path)


def test_a_python_function(tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_device_data.py").write_text(
        "import numpy as np\nfrom fedrela.edge.training.examples import Examples\n"
        "def load(manifest):\n    return Examples({'x': np.zeros((1, 1, 4, 4), np.uint8)}, np.array([2]))\n"
        "def wrong(manifest):\n    return 7\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(open_source("my_device_data:load")(manifest), Examples)
    with pytest.raises(InvalidData, match="gave int"):
        open_source("my_device_data:wrong")(manifest)
    with pytest.raises(InvalidData, match="can't be imported"):
        open_source("my_device_data:absent")
