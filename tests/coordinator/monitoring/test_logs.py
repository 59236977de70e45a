"""A log line: one JSON object, whatever is in it."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.coordinator.monitoring import logs


def line(message: str, *arguments: Any, **extra: Any) -> str:
    """One formatted line, of the second 86400 + 1/4."""
    record = logging.makeLogRecord({"msg": message, "args": arguments, "levelname": "WARNING", **extra})
    record.created, record.msecs = 86400.25, 250.0
    return logs.JsonLines().format(record)


def test_a_line_has_utc_time_level_event_and_the_call_s_own_fields_only() -> None:
    assert json.loads(line("%s of %d", "two", 3, task="t-1", round=4)) == {
        "time": "1970-01-02T00:00:00.250Z",
        "level": "warning",
        "event": "two of 3",
        "task": "t-1",
        "round": 4,
    }


@given(st.text(), st.text())
@settings(deadline=None)
def test_no_text_can_start_a_second_line(event: str, field: str) -> None:
    text = line(event, problem=field)
    assert "\n" not in text
    assert "\r" not in text
    entry = json.loads(text)
    assert (entry["event"], entry["problem"]) == (event, field)


def test_what_json_cannot_hold_is_written_as_text() -> None:
    assert json.loads(line("x", path=ValueError("no")))["path"] == "no"


def test_a_traceback_stays_on_its_line() -> None:
    try:
        raise KeyError("missing")
    except KeyError:
        text = line("failed", exc_info=sys.exc_info())
    assert "\n" not in text
    assert json.loads(text)["traceback"].endswith("KeyError: 'missing'")


def test_installing_twice_writes_each_line_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("fedrela")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    logs.install()
    logs.install()
    logging.getLogger("fedrela.coordinator").info("once", extra={"round": 1})
    (only,) = capsys.readouterr().err.splitlines()
    assert json.loads(only)["event"] == "once"


def test_fields_that_another_package_gives_every_record_are_left_out() -> None:
    usual = logging.getLogRecordFactory()

    def factory(*arguments: Any, **named: Any) -> logging.LogRecord:
        record = usual(*arguments, **named)
        vars(record)["_ray_timestamp_ns"] = 1  # as Ray does
        return record

    logging.setLogRecordFactory(factory)
    try:
        assert json.loads(line("x", round=4)).keys() == {"time", "level", "event", "round"}
    finally:
        logging.setLogRecordFactory(usual)
