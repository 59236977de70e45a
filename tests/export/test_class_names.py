"""Where the names of a model's classes come from: the folders of the data, as a device would read them."""

import json
import zipfile

import pytest
from typer.testing import CliRunner

from fedrela.core.errors import InvalidInput
from fedrela.export import bundle_verbs, cli
from fedrela.export.class_names import count, in_data

MODEL = "import torch\ndef build():\n    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))\n"


def pictures(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def zipped(tmp_path, *names):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return tmp_path / "photos.zip"


@pytest.mark.parametrize("make", [pictures, zipped])
def test_the_folders_that_a_device_would_read_are_the_classes(tmp_path, make):
    around = make(tmp_path, "photos/dog/1.png", "photos/cat/2024/1.jpg", "photos/.git/1.png", "photos/x.txt")
    assert in_data(around) == ("cat", "dog")
    (tmp_path / "b").mkdir()
    parts = make(tmp_path / "b", "train/owl/1.png", "train/bat/1.png", "test/elk/1.png")
    assert in_data(parts) == ("bat", "owl")


def test_numbers_are_in_their_order(tmp_path):
    assert in_data(pictures(tmp_path, "10/1.png", "9/1.png", "0/1.png")) == ("0", "9", "10")


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: folder / "none"])
def test_what_holds_no_class_folder_is_refused(tmp_path, make):
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(InvalidInput, match=r"class folders|can't be read"):
        in_data(make(tmp_path))


def test_the_number_of_classes_is_said_once():
    assert (count((), 10), count(("a", "b"), None), count(("a", "b"), 2)) == (10, 2, 2)
    for names, classes in (((), None), (("a", "b"), 3)):
        with pytest.raises(InvalidInput):
            count(names, classes)


def test_export_takes_the_names_from_data_and_says_where_there_are_none(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    photos = pictures(tmp_path / "photos", "cat/1.png", "dog/1.png", "owl/1.png")
    key = tmp_path / "key"
    key.write_text("5e" * 32)
    always = ["export", f"{tmp_path / 'model.py'}:build", "--input", "uint8:1x4x4", "--publisher-key", str(key)]
    named = CliRunner().invoke(cli.app, [*always, "--data", str(photos), "--out", str(tmp_path / "named")])
    assert named.exit_code == 0, named.output
    assert "no names" not in named.output
    shown = CliRunner().invoke(bundle_verbs.app, ["inspect", str(tmp_path / "named")])
    assert "classes in order: cat, dog, owl" in shown.output
    described = CliRunner().invoke(bundle_verbs.app, ["inspect", str(tmp_path / "named"), "--json"])
    assert json.loads(described.output)["class_names"] == ["cat", "dog", "owl"]
    nameless = CliRunner().invoke(cli.app, [*always, "--classes", "3", "--out", str(tmp_path / "nameless")])
    assert "folders of pictures must be called 0 to 2" in " ".join(nameless.output.split())
    shown = CliRunner().invoke(bundle_verbs.app, ["inspect", str(tmp_path / "nameless")])
    assert "classes in order: no names; data say 0 to 2" in shown.output
