"""A unit is tried before it is written: its command runs once with --check, by the service manager where one runs.

Where this shell doesn't reach the manager, as behind `su`, it runs in a process of ours that has the unit's variables
and folder, and sees the home. Where no systemd runs at all nothing could start the unit, and it isn't tried.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedrela.core.errors import InvalidInput
from fedrela.edge.owner.carried import EMPTY_FOLDER
from fedrela.edge.owner.systemd import NAME, Service, environment, unit, unit_file

TRIAL_NAME = NAME.replace(".service", "-check.service")
SECONDS = 180.0
ANSWER_SECONDS = 10.0  # of a manager that runs
BOOTED = Path("/run/systemd/system")  # is there where systemd runs the machine: sd_booted(3)
LINES = 5  # of what it said
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OF_THE_MANAGER = ("LANG", "LC_ALL", "USER", "LOGNAME")


def check(service: Service, *, system: bool, tell: Callable[[str], None] = lambda words: None) -> None:
    """Raise InvalidInput, with what it said, unless the unit's command runs with --check.

    `tell` hears what is done, before it is done: it may take a while.
    """
    trial = replace(service, command=(*service.command, "--check"))
    by_manager = _manager_runs(system)
    if not by_manager and not BOOTED.is_dir():
        tell("no systemd is running on this machine: the unit is written and not tried, for a machine that does")
        return
    how = "as systemd will run it" if by_manager else "without systemd, which this shell can't reach"
    tell(f"trying the unit's command once, {how}; this may take {SECONDS / 60:.0f} minutes at most")
    try:
        said = _by_manager(trial, system) if by_manager else _by_ourselves(trial)
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said is not None:
        last = " / ".join(line.strip() for line in said.strip().splitlines()[-LINES:])
        raise InvalidInput(
            f"the service would not run: {last or 'it said nothing'}",
            remedy="mend that, or add --unchecked to write the unit all the same",
        )


def _by_ourselves(trial: Service) -> str | None:
    """None where it ran, else what it said."""
    variables = {name: os.environ[name] for name in _OF_THE_MANAGER if name in os.environ}
    variables |= {"PATH": PATH, "HOME": str(trial.home)} | environment(trial)
    with tempfile.TemporaryDirectory() as empty:
        os.chmod(empty, 0o755)
        folder = empty if trial.working_folder == EMPTY_FOLDER else trial.working_folder
        done = _run(trial.command, cwd=folder, env=variables, user=trial.user or None)
    return None if done.returncode == 0 else done.stderr


def _by_manager(trial: Service, system: bool) -> str | None:
    """The same in all that the unit demands of the manager."""
    path = unit_file(system=system).with_name(TRIAL_NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    systemctl = ("systemctl",) if system else ("systemctl", "--user")
    journal = ("journalctl", "--no-pager", "-o", "cat", "-n", str(LINES), "-u" if system else "--user-unit", TRIAL_NAME)
    try:
        path.write_text(unit(trial, once=True))
        _run((*systemctl, "daemon-reload"))
        done = _run((*systemctl, "start", TRIAL_NAME))
        return None if done.returncode == 0 else _run(journal).stdout or done.stderr
    finally:
        path.unlink(missing_ok=True)
        _run((*systemctl, "daemon-reload"))


def _manager_runs(system: bool) -> bool:
    try:
        words = ("systemctl", "show-environment") if system else ("systemctl", "--user", "show-environment")
        return _run(words, seconds=ANSWER_SECONDS).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(words: tuple[str, ...], *, seconds: float = SECONDS, **how: Any) -> "subprocess.CompletedProcess[str]":
    done: subprocess.CompletedProcess[str] = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=seconds, **how
    )
    return done
