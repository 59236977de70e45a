"""A Debian 12 arm64 userland with Python and this project's device requirements, run by qemu's user emulation.

Nothing is installed on the host, and no root is needed: packages are downloaded by apt into a folder of its own and
unpacked there, wheels by pip. The folder is kept (below FEDRELA_ARM64_CACHE, else ~/.cache/fedrela/arm64), so that only
the first run downloads, and another is made when the requirements change.
"""

import getpass
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUITE = "bookworm"  # Debian 12, which Raspberry Pi OS 12 is made from
PACKAGES = (
    "python3.11",
    "libpython3.11-stdlib",
    "libstdc++6",
    "libgcc-s1",
    "zlib1g",
    "libexpat1",
    "libffi8",
    "libssl3",
)
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64", "manylinux_2_17_aarch64")
# User emulation shows programs the host's /proc/cpuinfo. Libraries that look for an Arm core there would find none, and
# onnxruntime ends in a segmentation fault; so the userland has a Raspberry Pi 4's.
CORE = """\
processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
CPU = "cortex-a72"
DOWNLOAD_SECONDS = 400.0  # all together; where that isn't enough, the test is left out
REPOSITORY = Path(__file__).parents[2]


class LeftOut(Exception):
    """The userland can't be made here; the message says why."""


@dataclass(frozen=True)
class Userland:
    """An unpacked userland: `command` turns words for its Python into words for the host."""

    qemu: Path
    root: Path
    site: Path

    def command(self, *words: str) -> list[str]:
        """The host's command line that runs `python3.11 words...` in the userland."""
        return [str(self.qemu), "-L", str(self.root), str(self.root / "usr/bin/python3.11"), *words]

    def environment(self) -> dict[str, str]:
        """Where that Python finds itself, the wheels and this repository."""
        return {
            "PYTHONHOME": str(self.root / "usr"),
            "PYTHONPATH": os.pathsep.join((str(self.site), str(REPOSITORY))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.root),
            "OMP_NUM_THREADS": "1",
            "QEMU_CPU": CPU,
        }


def cache_folder() -> Path:
    """Where the userland for these packages and requirements is kept."""
    cache = os.environ.get("FEDRELA_ARM64_CACHE")
    base = Path(cache) if cache else Path("~/.cache/fedrela/arm64").expanduser()
    contents = "\n".join((SUITE, *PACKAGES, *PLATFORMS, *requirements()))
    return base / hashlib.sha256(contents.encode()).hexdigest()[:16]


def requirements() -> list[str]:
    """What `pip install 'fedrela[edge]'` brings, as pyproject.toml names it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["edge"]]


def build() -> Userland:
    """The userland, made on first use. Raises LeftOut where tools or downloads are missing.

    It is made beside its place and moved there when it is whole, so that nobody ever meets half of one.
    """
    folder = cache_folder()
    if not folder.is_dir():
        for tool in ("apt-get", "dpkg", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise LeftOut(f"{tool} is not here: the userland is made from Debian's packages")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as name:
            whole = Path(name) / "userland"
            download(whole, time.monotonic() + DOWNLOAD_SECONDS)
            try:
                whole.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another run was faster
                    raise
    qemu = _installed_qemu() or folder / "qemu/usr/bin/qemu-aarch64-static"
    return Userland(qemu, folder / "root", folder / "site")


def download(folder: Path, until: float) -> None:
    """Everything that the userland is made of; `until` on the monotonic clock."""
    unpack(PACKAGES, "arm64", folder / "apt-arm64", folder / "root", until=until)
    if _installed_qemu() is None:
        host = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
        names, work = ("qemu-user-static",), folder / "apt-host"
        unpack(names, host.stdout.strip(), work, folder / "qemu", dependencies=False, until=until)
    install_wheels(folder / "site", until)
    (folder / "root/proc").mkdir(exist_ok=True)
    cores = "\n".join(CORE.format(number=number) for number in range(4))
    (folder / "root/proc/cpuinfo").write_text(cores)


def unpack(
    names: Sequence[str], architecture: str, work: Path, into: Path, *, until: float, dependencies: bool = True
) -> None:
    """Download Debian packages, by default with what they need, and unpack them."""
    for part in ("lists/partial", "archives/partial"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    trust = f"[signed-by={keyring}] " if keyring.is_file() else ""
    (work / "sources.list").write_text(f"deb {trust}{mirror()} {SUITE} main\n")
    options = {
        "Dir::State": work,
        "Dir::State::status": work / "status",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work,
        "Dir::Cache::archives": work / "archives",
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "APT::Sandbox::User": getpass.getuser(),
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",  # the host's package database is not touched
        "Acquire::http::Timeout": 30,
    }
    apt = ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    _download([*apt, "update"], work, until)
    action = ["install", "--download-only", "--yes"] if dependencies else ["download"]
    _download([*apt, *action, *names], work / "archives", until)
    into.mkdir(parents=True, exist_ok=True)
    for package in sorted((work / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, into], check=True)
    shutil.rmtree(work)


def install_wheels(site: Path, until: float) -> None:
    """The device's requirements, from real aarch64 wheels."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    target = ["--python-version", "3.11", "--only-binary=:all:", "--target", str(site)]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--timeout", "30", "--retries", "2"]
    _download([*pip, *platforms, *target, *requirements()], site.parent, until)


def mirror() -> str:
    """A Debian mirror: FEDRELA_DEBIAN_MIRROR, or the one that this host's apt uses."""
    if mirror := os.environ.get("FEDRELA_DEBIAN_MIRROR"):
        return mirror
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    for source in sources:
        if source.is_file():
            address = re.search(r"https?://\S+/debian/?(?=\s)", source.read_text() + "\n")
            if address:
                return address.group()
    raise LeftOut("this host's apt knows no Debian mirror; set FEDRELA_DEBIAN_MIRROR")


def _download(command: Sequence[str | Path], folder: Path, until: float) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=max(until - time.monotonic(), 1)
        )
    except subprocess.TimeoutExpired as error:
        raise LeftOut(f"`{command[0]}` was not done after {DOWNLOAD_SECONDS:.0f} s in all") from error
    if done.returncode:
        raise LeftOut(f"`{command[0]}` could not download: {(done.stderr or done.stdout).strip()[-300:]}")


def _installed_qemu() -> Path | None:
    emulator = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    return Path(emulator) if emulator else None
