"""A few hundred cases of the fuzz of data sources, and that it finds what is wrong.

The long run is a command of its own: `python -m fedrela.conformance.sources --cases 100000`.
"""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from fedrela.conformance.sources import png_reader, readers, tables, trees, verdicts, zips
from fedrela.conformance.sources.__main__ import main, tallied
from fedrela.conformance.sources.zips import Damaged, Member

CASES = 200


@pytest.mark.parametrize("source", verdicts.SOURCES)
def test_what_lies_there_is_read_right_or_refused(source: str) -> None:
    tally = tallied(source, 0, range(CASES))
    assert tally.findings == []
    assert tally.verdicts["right"] > CASES / 10
    assert tally.verdicts["refused"] > CASES / 10


@pytest.mark.parametrize("source", verdicts.SOURCES)
def test_a_case_is_the_same_whenever_it_is_made(source: str) -> None:
    make = tables.MAKERS.get(source, trees.tree)
    assert [make(Random(number)) for number in range(40)] == [make(Random(number)) for number in range(40)]


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return folder


def test_other_samples_than_the_readers_are_a_finding(tmp_path: Path) -> None:
    made = next(files for files, changes in map(tables.idx, map(Random, range(99))) if not changes)
    data, rows = write(made, tmp_path), readers.idx(made)

    def nothing() -> list[readers.Row]:
        raise Damaged("nothing")

    assert verdicts.judge("idx", data, lambda: rows) == "right"
    assert verdicts.judge("idx", data, lambda: [(rows[0][0], rows[0][1] + 1), *rows[1:]]).startswith("wrong: ")
    assert verdicts.judge("idx", data, lambda: rows[:-1]).startswith("wrong: ")
    assert verdicts.judge("idx", data, nothing) == "wrong: read where there is nothing (nothing)"
    assert verdicts.judge("idx", tmp_path / "none", lambda: rows) == "refused"


def test_an_exception_that_is_none_of_ours_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fuzzed_source.py").write_text("def load(manifest):\n    raise KeyError('odd')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert verdicts.judge("idx", Path("fuzzed_source:load"), list) == "foreign: KeyError: 'odd'"


def test_the_independent_readers_read_what_is_good() -> None:
    body = zips.write([Member(b"a", b"x" * 99, packed=True), Member(b"b/c", b"y", utf_8=False)])
    assert zips.read(b"before" + body) == {b"a": b"x" * 99, b"b/c": b"y"}
    assert isinstance(zips.read(body.replace(b"y", b"z"))[b"b/c"], Damaged)
    with pytest.raises(Damaged):
        zips.read(body[:-1])
    for png in trees.pngs():
        assert png_reader.read(png).shape == (4, 4, 3)
    x = np.arange(32, dtype="<f4").reshape(2, 16)
    arrays = [Member(b"x.npy", tables.npy(x)), Member(b"y.npy", tables.npy(np.array([1, 0], ">i2")))]
    assert readers.npz(zips.write(arrays)) == readers.rows(x, [1, 0])
    table = b'age,"hei""ght",label\r\n1,"2",cat\r\n\r\n3,4,"2"'
    assert readers.csv(table, ("cat", "dog", "cow"), 2) == readers.rows([[1, 2], [3, 4]], [0, 2])


def test_the_command_prints_a_table_and_writes_the_figures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    words = ["--cases", "30", "--seed", "3", "--source", "idx", "--source", "csv", "--jobs", "1"]
    assert main([*words, "--json", str(figures)]) == 0
    document = json.loads(figures.read_text())
    assert {source: sum(counts.values()) for source, counts in document["sources"].items()} == {"idx": 30, "csv": 30}
    assert "refused" in capfd.readouterr().out


def test_figures_of_other_sources_stay_where_they_are_of_the_same_run(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"

    def sources(*words: str) -> dict[str, object]:
        assert main(["--seed", "3", "--jobs", "1", "--json", str(figures), *words]) == 0
        read: dict[str, object] = json.loads(figures.read_text())["sources"]
        return read

    idx = sources("--cases", "10", "--source", "idx")
    assert sources("--cases", "10", "--source", "csv") == idx | sources("--cases", "10", "--source", "csv")
    assert list(sources("--cases", "11", "--source", "csv")) == ["csv"]
