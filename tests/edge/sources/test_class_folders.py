"""Folders and zips of pictures as people have them: what is trained on, what is left out and said, what is refused."""

import os
import unicodedata
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from fedrela.core.bundle import Manifest
from fedrela.core.data import class_folders
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import open_source
from fedrela.edge.training.examples import Examples, check
from tests.edge.conftest import with_x
from tests.edge.sources.test_sources import picture

# What lies there -> the pictures that are trained on; and what is said of the others.
TREES: dict[str, tuple[list[str], list[str], str]] = {
    "nested folders": (
        ["cat/1.png", "cat/2024/2.png", "bee/x/y/3.png", "bee/folder.png/4.png"],
        ["bee/folder.png/4.png", "bee/x/y/3.png", "cat/1.png", "cat/2024/2.png"],
        "",
    ),
    "suffixes of people's tools": (
        ["cat/1.jfif", "cat/2.JPEG", "cat/3.jpe", "cat/4.pjpeg", "cat/5.dib", "cat/6.pbm"],
        ["cat/1.jfif", "cat/2.JPEG", "cat/3.jpe", "cat/4.pjpeg", "cat/5.dib", "cat/6.pbm"],
        "",
    ),
    "formats that are not read": (
        ["cat/1.png", "bee/1.heic", "bee/2.HEIC", "bee/3.avif", "bee/notes.txt", "bee/film.mp4"],
        ["cat/1.png"],
        "2 not named as a picture, 1 of the format .avif, which is not read (save as JPEG or PNG), "
        "2 of the format .heic, which is not read (save as JPEG or PNG)",
    ),
    "hidden and system folders": (
        [
            *("cat/1.png", ".ipynb_checkpoints/1.png", "@eaDir/1.png", "__MACOSX/cat/._1.png", ".Trash-1000/1.png"),
            *("$RECYCLE.BIN/1.png", "cat/Thumbs.db", "cat/.ipynb_checkpoints/1.png", "cat/.hidden.png"),
        ],
        ["cat/1.png"],
        "8 hidden or made by a system",
    ),
    "in no class folder": (["cat/1.png", "cover.png"], ["cat/1.png"], "1 in no class folder"),
    "a folder around": (["my/photos/cat/1.png", "my/photos/bee/2.png"], ["bee/2.png", "cat/1.png"], ""),
    "one class alone, nested": (["cat/2024/1.png"], ["cat/2024/1.png"], ""),
    "train beside test": (
        ["data/train/cat/1.png", "data/train/bee/2.png", "data/test/ant/3.png", "data/test/ant/4.png"],
        ["bee/2.png", "cat/1.png"],
        "2 beside the folder train",
    ),
    "classes by number": (["0/1.png", "2/2.png"], ["0/1.png", "2/2.png"], ""),
}
REFUSED: dict[str, tuple[list[str], str]] = {
    "the test part alone": (["test/cat/1.png"], "no class 'test'"),
    "an empty train folder beside test": (["train/readme.txt", "test/cat/1.png"], "no class 'test'"),
    "two folders around": (["a/cat/1.png", "b/cat/1.png"], "no class 'a'"),
    "folders of two classes": (
        ["cat/bee/1.png"],
        r"bee/1\.png lies in the folders of two classes, 'cat' and 'bee'",
    ),
    "nothing but other formats": (["cat/1.heic"], r"no image in a class folder \(not trained on: 1 of the .*\.heic"),
}
Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, Form] = ("NFC", "NFD")
Load = Callable[[Iterable[str]], Examples]


def in_folder(paths: Iterable[str], folder: Path) -> Path:
    for number, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(picture(number))
    return folder


def in_zip(paths: Iterable[str], folder: Path) -> Path:
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number, path in enumerate(paths):
            archive.writestr(path, picture(number))
    return folder / "photos.zip"


@pytest.fixture(params=[in_folder, in_zip])
def load(request: pytest.FixtureRequest, tmp_path: Path, manifest: Manifest) -> Load:
    def read(paths: Iterable[str]) -> Examples:
        (tmp_path / "photos").mkdir()
        examples = open_source(str(request.param(paths, tmp_path / "photos")))(manifest)
        check(examples, manifest)
        return examples

    return read


@pytest.mark.parametrize("name", TREES)
def test_a_folder_and_a_zip_are_read_by_the_same_rules(name: str, load: Load, manifest: Manifest) -> None:
    paths, trained, left_out = TREES[name]
    examples = load(paths)
    ends = {path: next(number for number, full in enumerate(paths) if full.endswith(path)) for path in trained}
    assert examples.x["x"][:, 0, 0, 0].tolist() == [ends[path] for path in trained]
    assert examples.y.tolist() == [class_number(path, manifest) for path in trained]
    assert examples.notes == ((f"not trained on: {left_out}",) if left_out else ())


def class_number(path: str, manifest: Manifest) -> int:
    name = path.split("/", maxsplit=1)[0]
    return int(name) if name.isdecimal() else manifest.class_names.index(name)


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_wrong_is_refused(name: str, load: Load) -> None:
    paths, message = REFUSED[name]
    with pytest.raises(InvalidData, match=message):
        load(paths)


def test_train_is_a_class_where_the_model_says_so(tmp_path: Path, manifest: Manifest) -> None:
    traffic = replace(manifest, class_names=("bus", "car", "train"))
    data = in_folder(["train/old/1.png", "bus/2.png"], tmp_path / "a")
    assert open_source(str(data))(traffic).y.tolist() == [0, 2]
    data = in_folder(["train/train/1.png", "train/bus/2.png", "test/car/3.png"], tmp_path / "b")
    assert open_source(str(data))(traffic).y.tolist() == [0, 2]


@pytest.mark.parametrize("lay", [in_folder, in_zip])
@pytest.mark.parametrize("form", FORMS)
def test_accents_count_however_they_are_written(
    lay: Callable[[Iterable[str], Path], Path], form: Form, tmp_path: Path, manifest: Manifest
) -> None:
    data = lay([f"{unicodedata.normalize(form, 'Äpfel')}/1.png", "bee/2.png"], tmp_path)
    keys = set()
    for declared in FORMS:
        names = ("ant", "bee", unicodedata.normalize(declared, "Äpfel"))
        examples = open_source(str(data))(replace(manifest, class_names=names))
        assert examples.y.tolist() == [1, 2]
        keys.add(tuple(examples.keys.tolist()))
    assert len(keys) == 1


def test_two_files_of_one_name_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    data = in_folder([f"cat/{unicodedata.normalize(form, 'Ä')}.png" for form in FORMS], tmp_path / "a")
    with pytest.raises(InvalidData, match=r"cat/Ä\.png is there twice"):
        open_source(str(data))(manifest)
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = in_zip(["cat/1.png", "cat/1.png"], tmp_path)
    with pytest.raises(InvalidData, match=r"cat/1\.png is there twice"):
        open_source(str(archive))(manifest)


def zip_with_raw_names(folder: Path, *names: bytes) -> Path:
    """A zip whose names are these bytes, without the flag that says that they are UTF-8."""
    stand_ins = [b"%c" % (ord("A") + number) * len(name) for number, name in enumerate(names)]
    archive = in_zip([name.decode() for name in stand_ins], folder)
    body = archive.read_bytes()
    for stand_in, name in zip(stand_ins, names, strict=True):
        body = body.replace(stand_in, name)
    archive.write_bytes(body)
    return archive


@pytest.mark.parametrize("raw", ["Äpfel/1.png".encode(), "A\u0308pfel/1.png".encode(), b"\x8epfel\\1.png"])
def test_zips_of_other_systems_name_their_files_right(raw: bytes, tmp_path: Path, manifest: Manifest) -> None:
    archive = zip_with_raw_names(tmp_path, b"bee\\1.png", raw)  # UTF-8 of a Mac and of Linux, cp437 of an old PC
    examples = open_source(str(archive))(replace(manifest, class_names=("ant", "bee", "Äpfel")))
    assert examples.y.tolist() == [1, 2]


@pytest.mark.parametrize("name", [b"foto_\xe4.png", b"\xff\xfe.png", b"a\x1b[2J\n.png"])
def test_names_that_are_no_utf_8_are_read_and_can_be_printed(name: bytes, tmp_path: Path, manifest: Manifest) -> None:
    data = in_folder(["cat/1.png"], tmp_path / "a")
    raw = os.fsencode(data / "cat") + b"/" + name
    Path(os.fsdecode(raw)).write_bytes(picture(7))
    source = open_source(str(data))
    assert source(manifest).y.tolist() == [2, 2]
    assert source(manifest).keys.tolist() == open_source(str(data))(manifest).keys.tolist()
    Path(os.fsdecode(raw)).write_bytes(b"damaged")
    with pytest.raises(InvalidData) as fault:
        open_source(str(data))(manifest)
    assert fault.value.problem.isprintable()
    assert fault.value.problem.encode("utf-8")
    os.rename(os.fsencode(data / "cat"), os.fsencode(data) + b"/c\xe4t")
    with pytest.raises(InvalidData, match="no class"):
        open_source(str(data))(manifest)


def test_what_is_no_file_is_left_out(tmp_path: Path, manifest: Manifest) -> None:
    data = in_folder(["cat/1.png"], tmp_path / "a")
    os.mkfifo(data / "cat" / "pipe.png")
    examples = open_source(str(data))(manifest)
    assert (len(examples), examples.notes) == (1, ("not trained on: 1 no regular file",))


def test_links_are_followed_but_not_in_circles(tmp_path: Path, manifest: Manifest) -> None:
    elsewhere = in_folder(["1.png", "more/2.png"], tmp_path / "elsewhere")
    data = in_folder(["bee/1.png"], tmp_path / "a")
    (data / "cat").symlink_to(elsewhere)
    assert open_source(str(data))(manifest).y.tolist() == [1, 2, 2]
    (elsewhere / "more" / "back").symlink_to(elsewhere)
    with pytest.raises(InvalidData, match=r"the folder cat/more/back can't be read .*leads back"):
        open_source(str(data))(manifest)


def test_a_folder_that_can_not_be_read_is_named(tmp_path: Path, manifest: Manifest) -> None:
    """One whose path is too long for the system: the superuser may read all others."""
    data = in_folder(["cat/1.png"], tmp_path / "a")
    inner = os.open(data / "cat", os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=inner)
        outer, inner = inner, os.open("n" * 250, os.O_RDONLY, dir_fd=inner)
        os.close(outer)
    os.close(inner)
    with pytest.raises(InvalidData, match=r"the folder cat/nnn.* can't be read \(.*File name too long"):
        open_source(str(data))(manifest)


def test_another_model_gets_pixels_of_its_own(tmp_path: Path, manifest: Manifest) -> None:
    """A source outlives a task; what it decoded for one model is not what the next one takes."""
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(picture(200, (8, 4)))
    source = open_source(str(tmp_path))
    shapes = [((1, 4, 4), "stretch"), ((1, 4, 4), "pad"), ((3, 2, 2), "crop"), ((1, 4, 4), "stretch")]
    for shape, fit in shapes:
        model = with_x(manifest, ("B", *shape), "uint8", kind="image", grayscale=True, fit=fit)
        assert source(model).x["x"].tolist() == open_source(str(tmp_path))(model).x["x"].tolist()


def test_names_are_shown_as_any_terminal_can_print_them() -> None:
    assert class_folders.shown("Vögel/1.png") == "Vögel/1.png"
    assert class_folders.shown("a\udce4\x1b[2J\n") == r"a\udce4\x1b[2J\n"
