"""The manual's nginx and Caddy, as it prints them but for names, ports and certificates: a device works behind each."""

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, Server, free_port, wait_for
from tests.patience import PATIENCE_SECONDS

MANUAL = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
ONE = fleet.body(fleet.change(1.0))
NGINX = """\
daemon off; pid {folder}/nginx.pid; error_log stderr;
events {{ }}
http {{
access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{snippet}
}}
"""


def snippet(language: str, port: int, upstream: int) -> str:
    """The manual's block, for `localhost` and these ports."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    return str(block).replace("fl.example.org", "localhost").replace("8000", str(upstream)).replace("443", str(port))


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    """The command that runs nginx by the manual."""
    block = re.sub(r"/etc/letsencrypt/live/localhost", str(folder), snippet("nginx", port, upstream))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, snippet=block))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    """The command that runs Caddy by the manual; it would fetch its certificate from the Internet."""
    tls = f"tls {folder}/fullchain.pem {folder}/privkey.pem"
    block = snippet("caddy", port, upstream).replace("localhost {", f"localhost:{port} {{\n{tls}")
    (folder / "Caddyfile").write_text("{\nadmin off\nauto_https disable_redirects\n}\n" + block)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    """A proxy, until the block ends."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; to run this test: apt-get install {command[0]}")
    with (folder / "proxy.log").open("wb") as log:
        environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_a_device_and_an_operator_work_behind_it(proxy, server: Server, bundle_folder: Path, tmp_path: Path) -> None:
    port, certificate = free_port(), tmp_path / "fullchain.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    request += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "privkey.pem")]
    subprocess.run([*request, "-out", str(certificate)], check=True, capture_output=True)
    outside = f"https://localhost:{port}"
    server.environment["FEDRELA_PUBLIC_URL"] = outside
    (started,) = re.findall(r"^uvicorn fedrela.*--workers 4 (.*)$", MANUAL, re.MULTILINE)
    server.arguments = tuple(started.split())
    server.start()
    trust = ssl.create_default_context(cafile=str(certificate))
    with running(proxy(tmp_path, port, server.port), tmp_path), httpx.Client(base_url=outside, verify=trust) as http:
        wait_for(lambda: http.get("/readyz").status_code == 200)
        entered = http.post("/login", data={"admin_key": KEY}, headers={"Origin": outside})
        assert entered.status_code == 303
        assert "Secure" in entered.headers["set-cookie"]
        assert "strict-transport-security" in entered.headers
        operator = fleet.Operator(http, KEY)
        rounds = Rounds(goal=1, smallest_cohort=1)
        task_id = operator.publish(bundle_folder, Task("tiny", 1, round=rounds, relabel=Relabel(enabled=False)))
        device = fleet.enroll(http, operator.link(1))
        assignment = device.join()
        part = http.get(
            f"/v1/blobs/{assignment['checkpoint_sha256']}", headers={"Range": "bytes=8-15"}, auth=device.auth
        )
        assert (part.status_code, len(part.content)) == (206, 8)
        assert device.upload(assignment, ONE).status_code == 200
        wait_for(lambda: operator.task(task_id)["status"] == "finished")
