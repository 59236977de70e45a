"""Arrays and tables as local data, and a clear error for whatever can't be used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import open_source
from fedrela.edge.training.examples import check
from tests.edge.conftest import with_x


def test_npz(tmp_path: Path, manifest: Manifest) -> None:
    x = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4)
    np.savez(tmp_path / "a.npz", x=x, y=[2, 0])
    examples = open_source(str(tmp_path / "a.npz"))(manifest)
    check(examples, manifest)
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
