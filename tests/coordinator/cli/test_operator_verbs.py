"""The operators' verbs against a real server process."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.cli import member_verbs
from fedrela.coordinator.cli.operator_verbs import app
from fedrela.coordinator.pages import qr
from fedrela.core.errors import Unavailable
from fedrela.core.wire import CheckIn
from fedrela.edge.network.api import CoordinatorApi, Retry
from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, Server, wait_for
from tests.patience import PATIENCE_SECONDS

RUNNER = CliRunner()
ROOT = Path(__file__).parents[3]
CHECK_IN = CheckIn("default", "1", (), fleet.NONCE)


@pytest.fixture
def verbs(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A running server that the verbs find by their environment."""
    server.start()
    monkeypatch.setenv("FEDRELA_URL", server.url)
    monkeypatch.setenv("FEDRELA_ADMIN_KEY", KEY)
    return server


def run(*arguments: str) -> str:
    """Output of a verb that succeeds."""
    result = RUNNER.invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_link_as_a_picture_is_as_secret_as_the_link(
    verbs: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_verbs, "is_for_phones", lambda url: True)
    code = tmp_path / "code.svg"
    drawn = json.loads(run("token", "create", "--publisher", "0f" * 16, "--qr-file", str(code), "--json"))
    assert qr.as_svg(drawn["link"]).strip() == code.read_text().strip()
    assert code.stat().st_mode & 0o777 == 0o600


def check_that_no_bundle_is_written_to(task_id: str, folder: Path) -> None:
    (folder / "seal.json").touch()
    for target in (folder, folder / "weights.safetensors"):
        sealed = RUNNER.invoke(app, ["task", "download", task_id, str(target), "--round", "0"])
        assert "is a bundle" in str(sealed.exception)


def test_a_task_from_publish_to_export(verbs: Server, bundle_folder: Path, tmp_path: Path) -> None:
    task_file = tmp_path / "task.toml"
    task_file.write_text(
        'name = "tiny"\nrounds = 1\n[relabel]\nenabled = false\n[round]\ngoal = 1\n[privacy]\nsecure = "none"\n'
    )
    task_id = json.loads(run("publish", str(bundle_folder), str(task_file), "--json"))["task_id"]
    assert "running" in run("task", "list")
    assert "is paused" in run("task", "pause", task_id)
    assert json.loads(run("task", "show", "tiny", "--json"))["status"] == "paused"  # by its name
    run("task", "resume", "tiny")
    token = json.loads(run("token", "create", "--uses", "2", "--json"))
    assert token["link"] == f"{verbs.url}/join#{token['fragment']}"
    assert f"fedrela device enroll '{verbs.url}/join#" in run("token", "create")
    assert "no phone can use http://127.0.0.1" in str(RUNNER.invoke(app, ["token", "create", "--qr"]).exception)
    with verbs.http() as http:
        device = fleet.enroll(http, token["enrollment_token"])
        assert device.upload(device.join(), fleet.body(fleet.change(2.0))).status_code == 200
    assert device.device_id in run("device", "list")
    wait_for(lambda: "finished" in run("task", "list"))
    assert "committed" in run("task", "show", task_id)
    target = tmp_path / "model.safetensors"
    exported = json.loads(run("task", "download", task_id, str(target), "--json"))
    assert exported["sha256"] == json.loads(run("task", "show", task_id, "--json"))["checkpoint_sha256"]
    first = run("task", "download", task_id, str(tmp_path / "first.safetensors"), "--round", "1")
    assert exported["sha256"] in first
    start = run("task", "download", task_id, str(tmp_path / "start.safetensors"), "--round", "0")
    assert exported["sha256"] not in start
    old = json.loads(run("task", "export", task_id, str(target), "--json"))  # version 0.1's name of the verb
    assert old == exported
    assert "export" not in run("task", "--help")
    missing = RUNNER.invoke(app, ["task", "download", task_id, str(target), "--round", "9"])
    assert "not committed" in str(missing.exception)
    whole = run("task", "download", task_id, str(tmp_path / "model"))
    assert exported["sha256"] in whole
    assert "onnxruntime.InferenceSession" in whole
    written = {path.name for path in (tmp_path / "model").iterdir()}
    assert written == {"weights.safetensors", "manifest.json", "predict.onnx"}
    assert (tmp_path / "model" / "weights.safetensors").read_bytes() == target.read_bytes()
    check_that_no_bundle_is_written_to(task_id, tmp_path / "model")
    assert f"fedrela task download {task_id} model/" in run("task", "show", task_id)
    assert "0 blobs" in run("task", "collect", "--dry-run")
    run("device", "revoke", device.device_id)
    run("token", "revoke", token["token_id"])
    listed = json.loads(run("token", "list", "--json"))
    assert [bool(item["revoked_at"]) for item in listed if item["token_id"] == token["token_id"]] == [True]
    other = json.loads(run("task", "create", str(bundle_folder), str(task_file), "--json"))["task_id"]
    of_two = RUNNER.invoke(app, ["task", "cancel", "tiny"])
    assert "2 tasks are called 'tiny'; name one by its id" in str(of_two.exception)
    assert other in str(of_two.exception)
    assert "is cancelled" in run("task", "cancel", other)
    assert "tiny is plain: the coordinator can read" in run("publish", str(bundle_folder), str(task_file))
    task_file.write_text('name = "hidden"\nrounds = 1\n[relabel]\nenabled = false\n')
    assert "hidden is secure: the coordinator reads sums" in run("publish", str(bundle_folder), str(task_file))


def fedrela(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The console script in a process of its own."""
    import os

    clean = {key: value for key, value in os.environ.items() if not key.startswith("FEDRELA_")}
    return subprocess.run(
        [sys.executable, "-m", "fedrela", *arguments],
        capture_output=True,
        text=True,
        env=clean | environment,
        cwd=ROOT,
        check=False,
    )


def test_another_coordinator_s_key_is_told_to_its_operator(verbs: Server) -> None:
    refused = RUNNER.invoke(app, ["task", "list", "--admin-key", "another" * 8])
    assert f"the coordinator at {verbs.url} does not know this admin key" in str(refused.exception)
    assert "FEDRELA_ADMIN_KEY" in str(refused.exception)


def test_people_read_times_of_day(verbs: Server, bundle_folder: Path, tmp_path: Path) -> None:
    task_file = tmp_path / "task.toml"
    task_file.write_text('name = "today"\nrounds = 1\n[round]\ngoal = 1\n[privacy]\nsecure = "none"\n')
    run("publish", str(bundle_folder), str(task_file))
    shown = run("task", "show", "today")
    assert "  [round]\n  goal = 1\n  smallest_cohort = 1\n" in shown
    again = tmp_path / "again.toml"
    again.write_text(json.loads(run("task", "show", "today", "--json"))["settings"].replace("today", "again"))
    run("publish", str(bundle_folder), str(again))  # what is shown is what was published
    assert re.search(r"^created_at +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$", shown, re.MULTILINE)


def test_errors_are_one_clear_line_with_a_remedy(tmp_path: Path) -> None:
    refused = fedrela("serve", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[0].startswith("error: FEDRELA_ADMIN_KEY")
    assert "openssl rand" in refused.stderr
    away = fedrela("task", "list", "--url", "http://127.0.0.1:9", "--admin-key", KEY)
    assert (away.returncode, "fedrela serve" in away.stderr) == (1, True)
    assert "Traceback" not in refused.stderr + away.stderr


def test_a_missing_key_or_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDRELA_DATA", str(tmp_path))
    monkeypatch.delenv("FEDRELA_ADMIN_KEY", raising=False)
    result = RUNNER.invoke(app, ["task", "list"])
    assert "there is no admin key" in str(result.exception)
    result = RUNNER.invoke(app, ["publish", str(tmp_path), str(tmp_path / "none.toml"), "--admin-key", "k"])
    assert "can't be read" in str(result.exception)


def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = RUNNER.invoke(app, ["serve", "--dev", "--port", str(port), "--data", str(tmp_path / "data")])
    assert f"127.0.0.1:{port} can't be listened on" in str(refused.exception)
    assert "--port" in str(refused.exception)
    assert "public key" not in refused.output


@pytest.mark.parametrize("verb", [["--help"], ["serve", "--help"], ["task", "--help"], ["token", "create", "--help"]])
def test_help_teaches(verb: list[str]) -> None:
    text = run(*verb)
    assert "Usage" in text
    assert len(text.splitlines()) > 8


def test_the_tls_example_of_the_manual_works(tmp_path: Path) -> None:
    import os
    import ssl

    import httpx

    from tests.coordinator.conftest import free_port, wait_for

    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "privkey.pem",
            "-out",
            "fullchain.pem",
        ],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    port = free_port()
    command = [sys.executable, "-m", "fedrela", "serve", "--dev", "--port", str(port), "--data", str(tmp_path)]
    command += ["--ssl-certfile", str(tmp_path / "fullchain.pem"), "--ssl-keyfile", str(tmp_path / "privkey.pem")]
    with (tmp_path / "log").open("wb") as log:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "FEDRELA_ADMIN_KEY": KEY}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        trust = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
        with httpx.Client(verify=trust) as http:
            wait_for(lambda: http.get(f"https://localhost:{port}/healthz").json() == {"status": "ok"})
            http.base_url = f"https://localhost:{port}"
            made = fleet.Operator(http, KEY).call("POST", "/tokens", json={"publishers": ["0" * 32]})
            link = f"https://localhost:{port}/join#{made['fragment']}"
        command = [
            sys.executable,
            "-m",
            "fedrela",
            "device",
            "enroll",
            link,
            "--state",
            str(tmp_path / "device"),
        ]
        trusting = environment | {"SSL_CERT_FILE": str(tmp_path / "fullchain.pem")}
        enrolled = subprocess.run(command, capture_output=True, text=True, check=False, env=trusting)
        assert f"enrolled at https://localhost:{port}" in enrolled.stdout, enrolled.stderr
        with pytest.raises(Unavailable, match=r"does not trust its certificate.*SSL_CERT_FILE"):
            CoordinatorApi(httpx.Client(), f"https://localhost:{port}", retry=Retry(attempts=1)).check_in(CHECK_IN)
        with pytest.raises(Unavailable, match=r"does not trust its certificate.*SSL_CERT_FILE"):
            AdminClient(f"https://localhost:{port}", KEY).get("/tasks")
        assert "secrets and data are in" in (tmp_path / "log").read_text()
    finally:
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) in (0, -15)
