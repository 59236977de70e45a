"""The page's own tests, in Node: its device against the conformance vectors."""

import shutil
import subprocess

import pytest

from tests.web.browser import WEB


def test_the_typescript_device_passes_every_conformance_vector():
    if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
        pytest.skip("Node.js or the page's packages are not installed; run: make web")
    done = subprocess.run(["npm", "test"], cwd=WEB, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "\n# fail 0\n" in done.stdout
    assert int(done.stdout.split("\n# pass ")[1].split("\n")[0]) > 150
