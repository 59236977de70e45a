"""What a run shows of equal samples with different labels: which they are, on a terminal alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fedrela.core.bundle import Bundle
from fedrela.edge.owner.progress import Reporter
from fedrela.edge.owner.settings import Event
from fedrela.edge.sources import open_source
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training import contradictions

KINDS = {"a terminal": (True, False), "a log": (False, False), "a program": (False, True)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The same picture in the folders of two classes, and one of its own."""
    for name, level in (("0/one.png", 9), ("1/copy.png", 9), ("2/other.png", 7)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((4, 4), level, np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.mark.parametrize("shown_to", KINDS)
def test_equal_pictures_of_different_classes_are_named_on_a_terminal_alone(
    photos: Path, small_bundle: Bundle, shown_to: str
) -> None:
    (live, as_json), out = KINDS[shown_to], io.StringIO()
    reporter = Reporter(MemoryStore(), as_json=as_json, live=live, out=out)
    source = reporter.reading(open_source(str(photos)))
    for round_number in (1, 2):  # the second says nothing new
        source(small_bundle.manifest)
        reporter.event(Event("data", "t", round_number, detail=contradictions.NOTE))
    said = out.getvalue()
    assert ("copy.png" in said) == live
    if live:
        lines = said.replace("\x1b[K", "").replace("\r", "").splitlines()
        assert lines[1:] == [f"data: {contradictions.NOTE}: 0/one.png = 1/copy.png"]
    else:
        assert contradictions.NOTE in said
