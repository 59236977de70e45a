"""Arrays and tables as local data, and a clear error for whatever can't be used."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array
from fedrela.edge.sources import open_source
from fedrela.edge.training import contradictions
from fedrela.edge.training.examples import check
from tests.edge.conftest import with_x


def test_npz(tmp_path: Path, manifest: Manifest) -> None:
    x = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    np.savez(tmp_path / "a.npz", x=x, y=[2, 0])
    examples = check(open_source(str(tmp_path / "a.npz"))(manifest), manifest)
    assert examples.y.tolist() == [2, 0]
    np.savez(tmp_path / "b.npz", x=x)
    with pytest.raises(InvalidData, match="holds no labels"):
        open_source(str(tmp_path / "b.npz"))(manifest)
    np.savez(tmp_path / "c.npz", x=np.array([object()]), y=[1])
    with pytest.raises(InvalidData, match="without object arrays"):
        open_source(str(tmp_path / "c.npz"))(manifest)
    (tmp_path / "d.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    with pytest.raises(InvalidData, match="can't be read"):
        open_source(str(tmp_path / "d.npz"))(manifest)


def test_an_array_that_says_it_is_shorter_is_damaged(tmp_path: Path, manifest: Manifest) -> None:
    """numpy stops where the array ends by its header, before the sum of the whole is compared."""
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 1, 4, 4), np.uint8), y=[2, 0, 1])
    body = (tmp_path / "a.npz").read_bytes()
    shorter = body.replace(b"(3, 1, 4, 4)", b"(2, 1, 4, 4)").replace(b"(3,)", b"(2,)")
    (tmp_path / "a.npz").write_bytes(shorter)
    with pytest.raises(InvalidData, match=r"a\.npz can't be read"):
        open_source(str(tmp_path / "a.npz"))(manifest)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_npz_is_a_clear_error_whatever_the_damage(
    tmp_path: Path, manifest: Manifest, save: Callable[..., None]
) -> None:
    save(tmp_path / "a.npz", x=np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4), y=[2, 0])
    whole, source = (tmp_path / "a.npz").read_bytes(), open_source(str(tmp_path / "a.npz"))
    faults = []
    for place in range(len(whole)):
        (tmp_path / "a.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x4D]) + whole[place + 1 :])
        try:
            source(manifest)
        except InvalidData as fault:
            faults.append(fault.remedy)
    assert len(faults) > len(whole) / 4
    assert all(faults)


def test_csv(tmp_path: Path, manifest: Manifest) -> None:
    table = with_x(manifest, ("B", 2), "float32", kind="tabular", columns=("age", "height"))
    path = tmp_path / "t.csv"
    path.write_text("height,label,age\n1.5,bee,3\n1.6,0,4\n")
    examples = open_source(str(path))(table)
    check(examples, table)
    assert examples.x["x"].tolist() == [[3, 1.5], [4, np.float32(1.6)]]
    assert examples.y.tolist() == [1, 0]
    for text, message in (
        ("height,label,age\n1.5,bee,\n", "row 2 of .* holds '' in the column 'age'"),
        ("height,label,age\n1.5,bee,3\n1,bee,nan\n", "row 3"),
        ("height,label,age\n1.5,bee\n", "row 2 of .* has 2 cells"),
        ("height;label;age\n1,5;bee;2\n", "separated by ';'.*with commas"),
        ("height,label\n1.5,bee\n", "the model takes age, height"),
        ("height,age\n1.5,3\n", "no column 'label'"),
        ("height,label,age\n1.5,dog,3\n", "no class 'dog'"),
        ("", "is empty"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidData, match=message):
            open_source(str(path))(table)
    with pytest.raises(InvalidData, match="doesn't take tables"):
        open_source(str(path))(manifest)


@pytest.mark.parametrize("y", [np.int64(1), np.array([[0, 1]]), np.eye(2), np.array([True, False]), np.array([1, 0.5])])
def test_labels_of_an_npz_that_are_no_classes_are_refused(tmp_path: Path, manifest: Manifest, y: Array) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 1, 4, 4), np.uint8), y=y)
    with pytest.raises(InvalidData, match="the labels"):
        open_source(str(tmp_path / "a.npz"))(manifest)


def test_an_npz_may_hold_names_and_ids(tmp_path: Path, manifest: Manifest) -> None:
    x = np.zeros((2, 1, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=["cat", "ant"], sample_id=np.array([70, 30], np.int16))
    examples = check(open_source(str(tmp_path / "a.npz"))(manifest), manifest)
    assert (examples.y.tolist(), examples.keys.tolist()) == ([2, 0], [70, 30])
    np.savez(tmp_path / "a.npz", x=x, y=[0, 1], labels=[1, 0])
    with pytest.raises(InvalidData, match="may be in 'y' or in 'labels'"):
        open_source(str(tmp_path / "a.npz"))(manifest)


def test_numpy_s_own_errors_are_refusals(tmp_path: Path, manifest: Manifest) -> None:
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "single.npy").rename(tmp_path / "renamed.npz")
    with pytest.raises(InvalidData, match=r"renamed\.npz can't be read"):
        open_source(str(tmp_path / "renamed.npz"))(manifest)
    no_character = np.array([0x7FFFFFFF], np.uint32).view("<U1")
    np.savez(tmp_path / "texts.npz", x=np.zeros((1, 4), np.float32), y=no_character)
    with pytest.raises(InvalidData, match=r"texts\.npz can't be read"):
        open_source(str(tmp_path / "texts.npz"))(manifest)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,a,label\n1,2,0\n", "two columns 'a'"),
        ("a,b,label,label\n1,2,0,1\n", "may be in 'label' or in 'label'"),
        ("y,b,label\n1,2,0\n", "may be in 'y' or in 'label'"),
        ("a,b,label\n1,2,-1\n", "the data have the labels '-1', .* no class '-1'; name it one of ant, bee, cat"),
        ("a,b,label\n1,2,\n3,4,bee\n", "the data have the labels '', 'bee', .* no class ''"),
        ("a,b,label\n1,2,\u00b2\n", "no class"),
        ("a,b,label\n1_0,2,0\n", "holds '1_0'"),
        ("a,b,label\n1,1e39,0\n", "holds '1e39'"),  # more than a float32, and nothing but this is said
        ("a,b,label,sample_id\n1,2,0,x\n3,4,0,x\n", "the same key"),
    ],
)
def test_a_table_that_could_be_read_in_two_ways_is_refused(
    tmp_path: Path, manifest: Manifest, text: str, message: str
) -> None:
    table = with_x(manifest, ("B", 2), "float32", kind="tabular")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InvalidData, match=message):
        check(open_source(str(tmp_path / "t.csv"))(table), table)


def test_a_row_is_named_as_an_editor_counts_it(tmp_path: Path, manifest: Manifest) -> None:
    table = with_x(manifest, ("B", 2), "float32", kind="tabular", columns=("age", "height"))
    (tmp_path / "t.csv").write_text("age,height,label\n1,2,ant\n3,4,bee\n1,2,cat\n")
    examples = check(open_source(str(tmp_path / "t.csv"))(table), table)
    assert contradictions.named(examples.contradicting, examples.named) == "row 2 = row 4"


def test_columns_that_are_declared_or_ids_are_neither_labels_nor_features(tmp_path: Path, manifest: Manifest) -> None:
    declared = with_x(manifest, ("B", 2), "float32", kind="tabular", columns=("y", "b"))
    (tmp_path / "t.csv").write_text("y,b,label\n7,8,2.0\n")
    examples = open_source(str(tmp_path / "t.csv"))(declared)
    assert (examples.x["x"].tolist(), examples.y.tolist()) == ([[7, 8]], [2])
    table = with_x(manifest, ("B", 2), "float32", kind="tabular")
    (tmp_path / "t.csv").write_text("sample_id,a,b,label\np1,1,2,0\np2,1,2,1\n")
    examples = open_source(str(tmp_path / "t.csv"))(table)
    (tmp_path / "t.csv").write_text("a,b,label,sample_id\n9,9,1,p2\n9,9,1,p1\n")
    assert open_source(str(tmp_path / "t.csv"))(table).keys.tolist() == examples.keys.tolist()[::-1]


def test_classes_that_are_numbers_go_by_name_in_every_format(tmp_path: Path, manifest: Manifest) -> None:
    digits = replace(manifest, class_names=("3", "5", "7"))
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 1, 4, 4), np.uint8), y=[7, 3])
    assert open_source(str(tmp_path / "a.npz"))(digits).y.tolist() == [2, 0]
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 1, 4, 4), np.uint8), y=[1, 0])
    with pytest.raises(InvalidData, match=r"the data have the labels 0, 1, .* one of 3, 5, 7"):
        open_source(str(tmp_path / "a.npz"))(digits)
