"""A run that version 0.1 recorded can be reported on, and played again with the same updates and global models."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.migration.product import VERSION_0_1, attempt, command_line

RUN = VERSION_0_1 / "run"
LOGS = ("events.jsonl", "rounds.jsonl")
# Messages grow and shrink with the versions that they name, and virtual time with the messages.
OF_MESSAGES = ("t", "bytes_down", "bytes_up")


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """A log, without what depends on the length of messages."""
    parsed = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in OF_MESSAGES} for line in parsed]


def test_it_is_played_again_with_the_same_updates_and_models(tmp_path: Path) -> None:
    """Losses may differ in their last digits between processors; `--replay` itself compares every byte."""
    again = tmp_path / "again"
    words = ("--replay", RUN, "--bundle", VERSION_0_1 / "bundle", "--out", again, "--label", "ten")
    done = attempt("emulate", *words, "--in-process", "--quiet", folder=VERSION_0_1 / "settings")
    assert sorted(map(str, lines(again, "events.jsonl"))) == sorted(map(str, lines(RUN, "events.jsonl"))), done.stderr
    for recorded, now in zip(lines(RUN, "rounds.jsonl"), lines(again, "rounds.jsonl"), strict=True):
        assert now.pop("loss") == pytest.approx(recorded.pop("loss"), rel=1e-5)
        assert now == recorded
    same = all((RUN / name).read_bytes() == (again / name).read_bytes() for name in LOGS)
    assert (done.returncode == 0) == same, done.stderr


def test_it_can_be_reported_on(tmp_path: Path) -> None:
    final = json.loads((RUN / "summary.json").read_text())["final_sha256"]
    assert final in command_line("report", RUN, "--out", tmp_path / "report")
