"""`fedrela device check`: owners see what would be read of their data, and every picture at fault at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidData
from fedrela.edge.owner.cli import app
from tests.edge.conftest import some_examples


def photo(path: Path, size: tuple[int, int]) -> None:
    """A picture of this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 128).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes, photos of two sizes, fifteen that an iPhone made, and a note."""
    root = tmp_path / "photos"
    photo(root / "0" / "one.jpg", (64, 48))
    photo(root / "1" / "two.png", (8, 8))
    photo(root / "1" / "three.jpg", (48, 64))
    for number in range(15):
        (root / "0" / f"{number}.HEIC").write_bytes(b"heic")
    (root / "note.txt").write_text("hello")
    return root


def check(*words: str) -> tuple[str, str]:
    """What is printed, and the error that follows it."""
    result = CliRunner().invoke(app, ["device", "check", *words])
    assert result.exception is None or isinstance(result.exception, InvalidData | SystemExit), result.exception
    return result.output, str(result.exception or "")


def test_before_any_model_is_known(photos: Path, tmp_path: Path) -> None:
    said, error = check("--data", str(photos), "--state", str(tmp_path / "state"))
    assert error == ""
    assert f"read         3 of {photos}: 0 1, 1 2" in said
    assert "8x8 to 64x48" in said
    assert "15 of the format .heic, which is not read (save as JPEG or PNG)" in said
    assert "1 not named as a picture" in said
    assert "name it with --bundle" in said
    assert not (tmp_path / "state").exists()


def test_every_picture_at_fault_is_named_at_once(photos: Path, small_bundle: Bundle, tmp_path: Path) -> None:
    for name in ("bad.jpg", "worse.png"):
        (photos / "0" / name).write_bytes(b"no picture")
    state = ("--state", str(tmp_path / "state"))
    said, error = check("--data", str(photos), "--bundle", str(small_bundle.folder), *state)
    assert "0/bad.jpg" in said
    assert "0/worse.png" in said
    assert "problems keep a round from beginning" in error


def test_classes_that_the_model_lacks_are_shown_with_both_lists(
    photos: Path, small_bundle: Bundle, tmp_path: Path
) -> None:
    photo(photos / "heron" / "four.jpg", (8, 8))
    said, _ = check(
        "--data", str(photos), "--bundle", str(small_bundle.folder), "--state", str(tmp_path / "s"), "--json"
    )
    (problem, *_) = json.loads(said.splitlines()[0])["problems"]
    assert "the model has no class 'heron'" in problem
    assert "name the classes 0 to" in problem


def test_arrays_are_counted_by_class(small_bundle: Bundle, tmp_path: Path) -> None:
    examples = some_examples(40)
    np.savez(tmp_path / "data.npz", x=examples.x["x"], y=examples.y)
    state = ("--state", str(tmp_path / "state"))
    said, error = check("--data", str(tmp_path / "data.npz"), "--bundle", str(small_bundle.folder), *state, "--json")
    told = json.loads(said)
    assert (error, told["samples"], sum(told["per_class"].values())) == ("", 40, 40)
    _, error = check("--data", str(tmp_path / "data.npz"), *state)
    assert "depends on the model" in error


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    _, error = check("--data", str(tmp_path / "photos"), "--state", str(tmp_path / "state"))
    assert "make a folder for each class" in error


@pytest.mark.parametrize("with_model", [True, False])
def test_equal_pictures_of_different_classes_are_named(
    photos: Path, small_bundle: Bundle, tmp_path: Path, with_model: bool
) -> None:
    (photos / "0" / "copy.jpg").write_bytes((photos / "1" / "three.jpg").read_bytes())
    (photos / "0" / "again.jpg").write_bytes((photos / "0" / "one.jpg").read_bytes())  # of one class: no fault
    for picture, level in (("0/one.jpg", 1), ("0/again.jpg", 1), ("1/two.png", 2)):
        Image.new("L", (8, 8), level).save(photos / picture)
    words = ["--data", str(photos), "--state", str(tmp_path / "state")]
    said, error = check(*words, *(["--bundle", str(small_bundle.folder)] if with_model else []))
    assert error == ""
    assert "exactly the values of others, and another label: 0/copy.jpg = 1/three.jpg\n" in said


def test_equal_rows_of_an_array_with_different_labels_are_named(small_bundle: Bundle, tmp_path: Path) -> None:
    given = some_examples(4)
    np.savez(tmp_path / "data.npz", x=given.x["x"][[0, 1, 0, 2]], y=np.array([0, 1, 2, 0]))
    words = ["--data", str(tmp_path / "data.npz"), "--bundle", str(small_bundle.folder)]
    said, error = check(*words, "--state", str(tmp_path / "state"))
    assert error == ""
    assert "another label: sample 0 = sample 2\n" in said
