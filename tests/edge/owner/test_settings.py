"""The owner's choices: the edges of what is taken, field by field, and the file that they are read from."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.core.task import Eligibility
from fedrela.edge.owner.settings import DeviceSettings, load

ROOT = Path(__file__).parents[3]
FROM_ZERO = ("checkpoint_steps", "check_seconds", "max_steps", "max_seconds")
ABOVE_ZERO = ("pause_seconds", "max_download_bytes", "max_state_bytes", "max_tasks")
NUMBERS = (*FROM_ZERO, *ABOVE_ZERO, "holdout_fraction")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_is_utf_8_whatever_the_locale_and_the_editor(tmp_path: Path, mark: str) -> None:
    """A device reads it in a service, whose locale is C; Notepad writes a byte-order mark."""
    file = tmp_path / "device.toml"
    file.write_bytes(f"{mark}max_steps = 7  # höchstens\n".encode())
    script = "import sys, pathlib; from fedrela.edge.owner.settings import load; print(load(pathlib.Path(sys.argv[1])))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "max_steps=7" in done.stdout, done.stderr
    file.write_bytes(b"max_steps = 7  # h\xf6chstens\n")
    with pytest.raises(InvalidInput, match=r"device.toml can't be read.*UTF-8"):
        load(file)


@pytest.mark.parametrize("name", FROM_ZERO)
def test_zero_is_taken_and_less_is_refused_by_name(name: str) -> None:
    choice: dict[str, Any] = {name: 0}
    assert getattr(DeviceSettings(**choice), name) == 0
    choice[name] = -1
    with pytest.raises(InvalidInput, match=f"{name} is -1"):
        DeviceSettings(**choice)


@pytest.mark.parametrize("name", ABOVE_ZERO)
@pytest.mark.parametrize("value", [0, -1])
def test_what_would_never_wait_or_take_nothing_is_refused(name: str, value: int) -> None:
    choice: dict[str, Any] = {name: value}
    with pytest.raises(InvalidInput, match=f"{name} is {value}; use more than 0"):
        DeviceSettings(**choice)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), "1", True, None, [1]])
def test_what_is_no_finite_number_is_refused_by_name(name: str, value: object) -> None:
    choice: dict[str, Any] = {name: value}
    with pytest.raises(InvalidInput, match=name):
        DeviceSettings(**choice)


@pytest.mark.parametrize("field", fields(DeviceSettings), ids=lambda field: field.name)
def test_no_setting_takes_another_type(field: Any) -> None:
    choice: dict[str, Any] = {field.name: ("what", "ever")}
    with pytest.raises(InvalidInput, match=rf"{field.name} is a tuple.*; \w"):
        DeviceSettings(**choice)


@pytest.mark.parametrize(("fraction", "taken"), [(0.0, True), (0.999, True), (1.0, False), (-0.001, False)])
def test_a_hold_out_is_from_none_to_below_all(fraction: float, taken: bool) -> None:
    if taken:
        assert DeviceSettings(holdout_fraction=fraction).holdout_fraction == fraction
        return
    with pytest.raises(InvalidInput, match="holdout_fraction"):
        DeviceSettings(holdout_fraction=fraction)


def test_nothing_is_held_out_or_reported_unless_the_owner_says_so() -> None:
    settings = DeviceSettings()
    assert (settings.holdout_fraction, settings.allow_evaluation) == (0.0, False)


def test_a_file_of_settings(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text('max_steps = 9\nmax_seconds = 60\n[eligibility]\nhours = "22:00-06:00"\nmax_cpu_celsius = 70\n')
    rule = Eligibility(hours="22:00-06:00", max_cpu_celsius=70.0)
    assert load(path) == DeviceSettings(max_steps=9, max_seconds=60.0, eligibility=rule)
    assert load(None) == DeviceSettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("checkpoint_step = 3", "unknown key 'checkpoint_step'"),
        ("max_steps = 1.5", "max_steps is a float"),
        ("max_seconds = nan", "max_seconds is not finite"),
        ("pause_seconds = inf", "pause_seconds is not finite"),
        ("[eligibility]\nmax_cpu_celsius = nan", r"eligibility\.max_cpu_celsius is not finite"),
        ('[eligibility]\nhours = "22-6"', r"eligibility\.hours is '22-6'"),
        ("[eligibility", "the settings file is not TOML"),
    ],
)
def test_a_wrong_file_names_the_key(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "device.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=says) as caught:
        load(path)
    assert caught.value.remedy


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "binary"):
        with pytest.raises(InvalidInput, match="can't be read"):
            load(path)
