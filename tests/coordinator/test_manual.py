"""Lines of docs/operations.md by which an operator sets a coordinator up, typed as they stand there."""

import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from fedrela.coordinator import settings
from fedrela.coordinator.settings import Settings
from fedrela.coordinator.storage.store import Database
from tests.coordinator.conftest import house_with, settings_for
from tests.coordinator.live_server import free_port, wait_for
from tests.patience import PATIENCE_SECONDS

MANUAL = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()


def line(start: str) -> str:
    """The one line that begins so, without its remark."""
    (found,) = [line for line in MANUAL if line.startswith(start)]
    return re.sub(r"\s+# .*", "", found)


def test_a_file_of_two_secrets_that_nobody_else_can_read(tmp_path: Path) -> None:
    typed = "\n".join((line("(umask 077; for"), line(". ./fedrela.env"), "env"))
    shell = subprocess.run(
        ["sh", "-c", typed], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True
    )
    made = dict(text.split("=", 1) for text in shell.stdout.splitlines() if text.startswith("FEDRELA_"))
    assert sorted(made) == ["FEDRELA_ADMIN_KEY", "FEDRELA_SIGNING_KEY"]
    assert (tmp_path / "fedrela.env").stat().st_mode & 0o777 == 0o600
    Settings.from_environment(made)  # both are long enough


def test_a_role_and_a_database_of_its_own_are_all_that_postgresql_needs(postgres: str, tmp_path: Path) -> None:
    # The role that runs the tests' server is called fedrela already.
    made = re.sub(r"(ROLE|DATABASE|OWNER) fedrela", r"\1 newcomer", line("sudo -u postgres psql"))
    named = line('echo "export FEDRELA_DATABASE_URL').replace("fedrela:", "newcomer:")
    here = f"127.0.0.1:{urlsplit(postgres).port}"
    typed = (
        made.replace("sudo -u postgres psql", f"psql {postgres}/postgres"),
        named.replace("127.0.0.1/fedrela", f"{here}/newcomer"),
        ". ./fedrela.env; echo $FEDRELA_DATABASE_URL",
    )
    shell = subprocess.run(["sh", "-ec", "\n".join(typed)], cwd=tmp_path, capture_output=True, text=True, check=True)
    url = shell.stdout.splitlines()[-1]
    assert url == f"postgresql://newcomer:secret@{here}/newcomer"
    Database(url).close()  # made, by its owner


def test_a_postgresql_coordinator_comes_back_from_its_backup(
    new_database: Callable[[], str], bundle_folder: Path, tmp_path: Path
) -> None:
    backed_up = [line('(umask 077; pg_dump "$FEDRELA'), line('cp -a "${FEDRELA')]
    brought_back = [line("psql --quiet"), line('mkdir -p "${FEDRELA')]

    def type_(lines: list[str], database: str, data: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "FEDRELA_DATABASE_URL": database, "FEDRELA_DATA": str(data)}
        typed = "\n".join(lines).replace("/backup/", f"{tmp_path}/backup-")
        subprocess.run(["sh", "-ec", typed], env=environment, check=True)

    before, after = new_database(), new_database()
    with house_with(settings_for(tmp_path / "data", database_url=before), bundle_folder) as house:
        task_id = house.publish(3)
        type_(backed_up, before, tmp_path / "data")
    type_(brought_back, after, tmp_path / "restored")
    (tmp_path / "restored").chmod(0o755)  # as `mkdir` leaves it, by most accounts' umask
    with house_with(settings_for(tmp_path / "restored", database_url=after), bundle_folder) as house:
        assert (tmp_path / "restored").stat().st_mode & 0o077 == 0
        record = house.operator.call("GET", f"/tasks/{task_id}")
        assert record["status"] == "running"
        assert house.http.get(f"/v1/blobs/{record['checkpoint_sha256']}", headers=house.operator.headers).content


def test_the_unit_is_one_that_systemd_takes_and_what_it_starts_answers(tmp_path: Path) -> None:
    (unit,) = re.findall(r"```ini\n(.*?)```", "\n".join(MANUAL), re.DOTALL)
    path = tmp_path / "fedrela.service"
    path.write_text(unit)
    verify = ["systemd-analyze", "verify", "--man=no", str(path)]
    said = subprocess.run(verify, capture_output=True, text=True, check=False).stderr.splitlines()
    assert [text for text in said if "fedrela.service" in text] == []
    port = free_port()
    (tmp_path / "fedrela.env").write_text(f"export FEDRELA_ADMIN_KEY={'k' * 32} FEDRELA_SIGNING_KEY={'11' * 32}\n")
    (tmp_path / "venv").symlink_to(Path(sys.executable).parents[1])
    (started,) = [text.removeprefix("ExecStart=") for text in unit.splitlines() if text.startswith("ExecStart=")]
    counted = tmp_path / "counted"
    counted.mkdir()
    environment = {"PATH": os.environ["PATH"], "PROMETHEUS_MULTIPROC_DIR": str(counted)}
    words = shlex.split(started.replace("8000", str(port)))
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
    assert (tmp_path / "fedrela-data" / "coordinator.sqlite").is_file()


def test_every_variable_has_its_row_and_its_default() -> None:
    rows = [text.split("|")[1:4] for text in MANUAL if text.startswith("| `FEDRELA_")]
    shown = {name: default.strip() for names, default, _ in rows for name in re.findall(r"`(\w+)`", names)}
    source = (Path(settings.__file__)).read_text(encoding="utf-8")
    assert set(shown) == set(re.findall(r'"(FEDRELA_\w+)"', source))
    numbers = dict(re.findall(r'_(?:number|whole)\(env, "(FEDRELA_\w+)", (?:[\d.]+ if dev else )?([\d.* ]+)\)', source))
    assert len(numbers) > 8
    for name, value in numbers.items():
        number, _, unit = shown[name].partition(" ")
        scale = {"GiB": 2.0**30, "MiB": 2.0**20}.get(unit, 1.0)
        assert float(number) * scale == math.prod(float(factor) for factor in value.split("*")), name
