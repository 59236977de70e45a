"""The files of a run: lines by hand, an order that doesn't depend on luck, what is refused."""

import json
from pathlib import Path

import pytest

from fedrela.core.data.partition import Accuracy
from fedrela.core.errors import InvalidInput
from fedrela.emulator.results import record
from fedrela.emulator.results.record import DeviceEvent, Recorder, RoundResult, line

HEADER = {"label": "A", "task": {"seed": 4}}


def test_a_line_leaves_out_defaults_but_never_a_field_without_one() -> None:
    assert line(DeviceEvent(0.0, 0, "drop-out")) == '{"t":0.0,"device":0,"event":"drop-out"}'
    assert line(DeviceEvent(1.0, 2, "update", seconds=0.5)) == '{"t":1.0,"device":2,"event":"update","seconds":0.5}'


def test_what_json_cannot_hold_is_null_however_deep() -> None:
    nan, infinity = float("nan"), float("inf")
    accuracy = Accuracy(0.5, nan, nan, 0.25, 0.5, (1.0, nan))
    read = json.loads(line(RoundResult(0, 0.0, "ab", 0, infinity, accuracy)))
    assert read["loss"] is None
    assert (read["accuracy"]["many"], read["accuracy"]["per_class"]) == (None, [1.0, None])
    assert (read["round"], read["updates"]) == (0, 0)


def test_simultaneous_events_are_written_by_device_whoever_ended_first(tmp_path: Path) -> None:
    events = [
        DeviceEvent(2.0, 0, "update"),
        DeviceEvent(1.0, 9, "assigned"),
        DeviceEvent(1.0, 3, "wait"),
        DeviceEvent(1.0, 3, "assigned"),
    ]
    for name, in_order in (("a", events), ("b", events[::-1])):
        with Recorder(tmp_path / name, HEADER) as recorder:
            recorder.events(in_order)
    written = [(tmp_path / name / "events.jsonl").read_bytes() for name in ("a", "b")]
    assert written[0] == written[1]
    order = [(event["t"], event["device"], event["event"]) for event in record.read(tmp_path / "a").events]
    assert order == [(1.0, 3, "assigned"), (1.0, 3, "wait"), (1.0, 9, "assigned"), (2.0, 0, "update")]


def test_a_run_can_be_read_while_it_is_made_and_is_complete_at_its_end(tmp_path: Path) -> None:
    with Recorder(tmp_path / "deep" / "run", HEADER) as recorder:
        recorder.events([DeviceEvent(1.0, 0, "assigned")])
        halfway = record.read(recorder.folder)
        assert (halfway.label, halfway.seed, len(halfway.events), halfway.rounds) == ("A", 4, 1, [])
        assert not halfway.complete
        recorder.finish({"final_sha256": "ab", "peak": float("inf")})
    ended = record.read(tmp_path / "deep" / "run")
    assert ended.complete
    assert ended.summary["peak"] is None


def test_a_run_of_another_format_is_refused(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER | {"format": record.FORMAT + 1}):
        pass
    with pytest.raises(InvalidInput, match="has format 2"):
        record.read(tmp_path / "r")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER):
        pass
    (tmp_path / "r" / "events.jsonl").unlink()
    with pytest.raises(InvalidInput, match=r"events\.jsonl is missing"):
        record.read(tmp_path / "r")


def test_the_first_free_number_is_taken(tmp_path: Path) -> None:
    for name in ("r", "r-2", "r-4"):
        (tmp_path / name).mkdir()
    assert record.free_folder(tmp_path / "r") == tmp_path / "r-3"
