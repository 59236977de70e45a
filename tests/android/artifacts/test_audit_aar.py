"""The script by which a user looks into a runtime's Android library, on libraries that are made here."""

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "android" / "fedrela-audit-aar"
MANIFEST = '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="ai.onnxruntime">{}</manifest>'
PERMISSION = '<uses-permission android:name="android.permission.INTERNET" />'


def elf(alignment: int, *, content: bytes = b"") -> bytes:
    """A 64-bit ELF file with one segment that is mapped into memory, and one that isn't."""
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    segments = [struct.pack("<IIQQQQQQ", kind, 5, 0, 0, 0, 0, 0, at) for kind, at in [(1, alignment), (6, 8)]]
    return header + b"".join(segments) + content


def aar(folder: Path, *, manifest: str = "", classes: tuple[str, ...] = (), library: bytes) -> Path:
    jar = io.BytesIO()
    with zipfile.ZipFile(jar, "w") as file:
        for name in ("ai/onnxruntime/OrtEnvironment.class", *classes):
            file.writestr(name, b"")
    path = folder / "runtime.aar"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("AndroidManifest.xml", MANIFEST.format(manifest))
        file.writestr("classes.jar", jar.getvalue())
        file.writestr("jni/arm64-v8a/libonnxruntime.so", library)
    return path


def audited(path: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, SCRIPT, path], capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr
    return done.returncode, done.stdout


def test_a_clean_library_passes(tmp_path: Path) -> None:
    code, said = audited(aar(tmp_path, library=elf(16_384)))
    assert code == 0, said
    assert "LOOK" not in said
    assert "permissions: none" in said
    assert "fit pages of 16 KB" in said


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ({"library": elf(4_096)}, "segments at 4096 bytes, do not fit"),
        ({"library": elf(16_384), "manifest": PERMISSION}, "permissions: android.permission.INTERNET"),
        (
            {"library": elf(16_384), "classes": ("ai/onnxruntime/telemetry/TelemetryInitializer.class",)},
            "1 classes, such as ai/onnxruntime/telemetry/TelemetryInitializer.class",
        ),
        ({"library": elf(16_384, content=b"https://mobile.events.data.microsoft.com/")}, "without a switch"),
        (
            {"library": elf(16_384, content=b"Microsoft::Applications::Events\0ORT_DISABLE_TELEMETRY")},
            "by ORT_DISABLE_TELEMETRY=1 not to",
        ),
    ],
    ids=["pages", "permission", "class", "host", "switch"],
)
def test_what_is_to_be_looked_at_is_named(contents, words, tmp_path: Path) -> None:
    code, said = audited(aar(tmp_path, **contents))
    assert code == 1
    (line,) = (line for line in said.splitlines() if line.startswith("LOOK"))
    assert words in line
