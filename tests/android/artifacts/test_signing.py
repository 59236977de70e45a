"""What aligns, signs and verifies the sample's APK."""

import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.android.artifacts.test_audit_aar import elf
from tests.android.device import KOTLIN

pytestmark = KOTLIN

SAMPLE = Path(__file__).parents[3] / "android/sample"
APK, UNALIGNED, KEYS = (SAMPLE / "target" / name for name in ("fedrela-sample.apk", "unaligned.apk", "debug.p12"))
PAGE = 16_384
LIBRARIES = ("lib/arm64-v8a/libone.so", "lib/arm64-v8a/libtwo.so", "lib/x86_64/libone.so")
WORD = 4


def sign(*paths: Path) -> tuple[int, str]:
    """Sign and verify (key store, in, out), or verify one APK; the exit status, and what is said."""
    tools = (SAMPLE / "../tools/target/classpath.txt").read_text().strip()
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", tools, str(SAMPLE / "apk/Sign.java"), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def offset(apk: Path, name: str) -> int:
    """Where the bytes of a stored file begin."""
    with zipfile.ZipFile(apk) as opened:
        entry = opened.getinfo(name)
        assert entry.compress_type == zipfile.ZIP_STORED, name
    lengths = struct.unpack_from("<HH", apk.read_bytes(), entry.header_offset + 26)
    return entry.header_offset + 30 + sum(lengths)


def test_both_signatures_verify() -> None:
    assert sign(APK) == (0, "verified true, v2 true, v3 true")


def test_a_changed_byte_verifies_no_more(tmp_path: Path) -> None:
    changed = bytearray(APK.read_bytes())
    changed[offset(APK, "resources.arsc") + 100] ^= 1
    (tmp_path / "changed.apk").write_bytes(changed)
    status, said = sign(tmp_path / "changed.apk")
    assert status == 1
    assert said.startswith("verified false")


def test_what_is_not_signed_is_not_verified() -> None:
    assert sign(UNALIGNED)[0] == 1


def test_resources_are_stored_where_they_can_be_mapped() -> None:
    assert offset(APK, "resources.arsc") % WORD == 0


@pytest.fixture(scope="module")
def with_libraries(built: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as it would be with a runtime's libraries, which are made here."""
    folder = tmp_path_factory.mktemp("with-libraries")
    unaligned, signed = folder / "unaligned.apk", folder / "signed.apk"
    shutil.copy(UNALIGNED, unaligned)
    with zipfile.ZipFile(unaligned, "a") as apk:
        for number, name in enumerate(LIBRARIES):
            apk.writestr(name, elf(PAGE, content=b"." * (number * 1_000 + 1)))
    assert any(offset(unaligned, name) % PAGE for name in LIBRARIES)
    assert sign(KEYS, unaligned, signed) == (0, "")
    assert sign(signed) == (0, "verified true, v2 true, v3 true")
    return signed


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_begins_at_a_page_of_16_kb(with_libraries: Path, name: str) -> None:
    assert offset(with_libraries, name) % PAGE == 0
