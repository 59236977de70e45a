"""Where a user's files are: with a home, without one, and with variables that say something relative."""

import os
import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from fedrela.core.environment import user_folders
from fedrela.core.errors import InvalidInput


def nobody(number: int) -> NoReturn:
    raise KeyError(number)


@pytest.mark.parametrize("environment", [{}, {"HOME": ""}, {"HOME": "here"}, {"XDG_STATE_HOME": "relative"}])
def test_without_a_home_it_is_said_what_to_set(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for folder in (user_folders.state, user_folders.configuration, user_folders.home):
        with pytest.raises(InvalidInput, match=r"no home folder; set HOME, or .*--state"):
            folder(environment)
    with pytest.raises(InvalidInput, match="no home folder"):
        user_folders.expanded("~/photos", environment)
    assert user_folders.expanded("photos", environment) == Path("photos")


def test_an_absolute_variable_needs_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert user_folders.state({"XDG_STATE_HOME": "/state"}) == Path("/state")


def test_the_systems_word_counts_where_there_is_no_variable() -> None:
    assert user_folders.home({}) == Path(pwd.getpwuid(os.getuid()).pw_dir)
    assert user_folders.expanded("~/x", {"HOME": "/home/pi"}) == Path("/home/pi/x")
    with pytest.raises(InvalidInput, match="no user nobody-of-this-name"):
        user_folders.expanded("~nobody-of-this-name/x")
