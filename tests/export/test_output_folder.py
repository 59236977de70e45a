"""Where an export may be written to, and what is there when it fails: in every layout."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from fedrela.export import output_folder
from fedrela.export.classifier import export_classifier, gather
from fedrela.export.official import executorch_layout, onnxruntime_layout

NOBODY = 65534
NAMES = ("one", "two", "seal.json")


def fill(out: Path, *, overwrite: bool = False, **contents: str) -> None:
    output_folder.check(out, NAMES, overwrite=overwrite)
    with output_folder.drafted(out) as draft:
        for name, text in contents.items():
            (draft / name).write_text(text)


def held(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_what_was_drafted_is_there_with_the_folders_above_it_and_nothing_beside_it(tmp_path):
    fill(tmp_path / "new" / "out", one="1", two="2")
    assert held(tmp_path) == {"new/out/one": "1", "new/out/two": "2"}


def test_an_export_is_replaced_whole_and_only_if_that_is_asked_for(tmp_path):
    fill(tmp_path / "out", one="1", two="2")
    with pytest.raises(InvalidInput, match="--overwrite"):
        fill(tmp_path / "out", one="3")
    assert held(tmp_path) == {"out/one": "1", "out/two": "2"}
    fill(tmp_path / "out", overwrite=True, one="3")
    assert held(tmp_path) == {"out/one": "3"}


@pytest.mark.parametrize("foreign", ["thesis.tex", ".git/config", "three/one"])
def test_what_no_export_wrote_is_never_replaced(tmp_path, foreign):
    fill(tmp_path, one="1")
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("precious")
    with pytest.raises(InvalidInput, match=rf"holds {foreign.split('/')[0]}, which"):
        fill(tmp_path, overwrite=True, one="2")
    assert held(tmp_path) == {"one": "1", foreign: "precious"}


@pytest.mark.parametrize("out", ["file", "file/out", "file/new/out"])
def test_a_file_is_no_folder(tmp_path, out):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InvalidInput, match="/file is no folder"):
        fill(tmp_path / out, overwrite=True, one="1")


@pytest.mark.parametrize("out", ["locked", "locked/new/out"])
def test_a_folder_that_can_not_be_written_to_is_named(out):
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        (Path(place) / "locked").mkdir(mode=0o555)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(NOBODY if os.geteuid() == 0 else os.geteuid())  # root may write anywhere
                output_folder.check(Path(place) / out, NAMES, overwrite=False)
            except InvalidInput as refused:
                os._exit(0 if refused.problem.endswith("/locked can't be written to") else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("before", [None, {}, {"one": "1"}])
def test_what_fails_changes_nothing(tmp_path, before):
    out = tmp_path / "above" / "out"
    if before is not None:
        out.mkdir(parents=True)
        for name, text in before.items():
            (out / name).write_text(text)
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(IsADirectoryError), output_folder.drafted(out) as draft:
        draft.write_text("half")
    assert sorted(tmp_path.rglob("*")) == there
    assert before is None or held(out) == before


def test_an_empty_folder_stays_the_same_one_and_a_link_stays_a_link(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("out")
    same = (tmp_path / "out").stat().st_ino
    fill(tmp_path / "link", one="1")
    assert (tmp_path / "out").stat().st_ino == same, "a shell stands in it, or it is mounted"
    fill(tmp_path / "link", overwrite=True, one="2")
    assert (tmp_path / "link").is_symlink()
    assert held(tmp_path / "out") == {"one": "2"}


def test_the_folder_that_one_stands_in_may_be_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(Path(), one="1")
    assert held(tmp_path) == {"one": "1"}


def test_an_export_that_was_killed_is_in_nobodys_way(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from fedrela.export import output_folder\n"
        "with output_folder.drafted(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=False)
    assert [name.startswith(".export-") for name in os.listdir(tmp_path / "out")] == [True]
    fill(tmp_path / "out", one="1", **{"seal.json": "s"})
    assert (tmp_path / "out" / "one").read_text() == "1"


def test_the_seal_comes_last(tmp_path, monkeypatch):
    moved = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda path, to: (moved.append(path.name), rename(path, to)))
    fill(tmp_path, **{"seal.json": "s", "two": "2", "one": "1"})
    assert moved[-1] == "seal.json"


def bundle(folder: Path, *, overwrite: bool) -> None:
    export_classifier(
        net(), input="float32:4", classes=2, out=folder, runtimes=("onnx",), overwrite=overwrite,
        private_key=signing.generate_key(), report=lambda line: None,
    )  # fmt: skip


def executorch_training(folder: Path, *, overwrite: bool) -> None:
    recipe = gather(input="float32:4", classes=2)
    executorch_layout.write(net(), recipe, folder, max_batch=8, overwrite=overwrite)


def ort_training(folder: Path, *, overwrite: bool) -> None:
    recipe = gather(input="float32:4", classes=2)
    onnxruntime_layout.write(net(), recipe, folder, Path("no-python"), overwrite=overwrite)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 2)


LAYOUTS = {
    bundle: ("manifest.json", "seal.json", "predict.onnx"),
    executorch_training: (executorch_layout.PROGRAM, executorch_layout.WEIGHTS),
    ort_training: onnxruntime_layout.FILES,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_refuses_a_folder_in_use_before_it_works(tmp_path, layout):
    for name in LAYOUTS[layout]:
        (tmp_path / name).write_text("trained for a week")
    with pytest.raises(InvalidInput, match="--overwrite"):
        layout(tmp_path, overwrite=False)
    (tmp_path / "MainActivity.kt").write_text("precious")
    with pytest.raises(InvalidInput, match=r"MainActivity\.kt"):
        layout(tmp_path, overwrite=True)
    assert set(held(tmp_path)) == {*LAYOUTS[layout], "MainActivity.kt"}


@pytest.mark.parametrize("layout", [bundle, executorch_training])
def test_a_layout_replaces_its_own(tmp_path, layout):
    layout(tmp_path / "out", overwrite=False)
    before = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    layout(tmp_path / "out", overwrite=True)
    after = {path.name: path.stat().st_ino for path in (tmp_path / "out").iterdir()}
    assert set(before) == set(after)
    assert not set(before.values()) & set(after.values())
