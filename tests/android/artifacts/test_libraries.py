"""What an app takes in: our libraries as they are built, their contents and their size together."""

import re
import zipfile
from pathlib import Path

import pytest

from tests.android.artifacts.class_files import version
from tests.android.device import KOTLIN

pytestmark = KOTLIN

ANDROID = Path(__file__).parents[3] / "android"
LIBRARIES = ("client", "onnx", "executorch", "android", "workmanager")
MOST_BYTES = 500_000  # of all of them
JAVA_8 = 52
KEPT = {"onnx", "android", "workmanager"}  # where something is found by its name
PERMISSIONS = {"INTERNET", "ACCESS_NETWORK_STATE", "RECEIVE_BOOT_COMPLETED"}


def library(module: str, kind: str) -> Path:
    """A built library."""
    (found,) = (ANDROID / module / "target").glob(f"fedrela-{module}-*.{kind}")
    return found


def classes(archive: Path) -> dict[str, int]:
    """The classes of a jar, with the version of the format that each has."""
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith(".class")]
        return {name: version(opened.read(name)) for name in names}


def test_what_an_app_takes_in_is_small() -> None:
    sizes = {module: library(module, "aar").stat().st_size for module in LIBRARIES}
    assert sum(sizes.values()) <= MOST_BYTES, sizes


@pytest.mark.parametrize("module", LIBRARIES)
def test_what_only_debuggers_read_is_left_out_and_lines_are_not(module: str) -> None:
    with zipfile.ZipFile(library(module, "jar")) as opened:
        bodies = [opened.read(name) for name in opened.namelist() if name.endswith(".class")]
    assert not [body for body in bodies if b"LocalVariableTable" in body or b"SourceDebugExtension" in body]
    assert sum(b"LineNumberTable" in body for body in bodies) > len(bodies) / 2


@pytest.mark.parametrize("module", LIBRARIES)
def test_classes_are_ours_alone_and_any_dexer_reads_them(module: str) -> None:
    found = classes(library(module, "jar"))
    assert found
    assert set(found.values()) == {JAVA_8}
    assert all(name.startswith("org/fedrela/") for name in found)


def test_kotlin_is_told_of_what_is_public_and_of_nothing_else() -> None:
    with zipfile.ZipFile(library("client", "jar")) as opened:
        told = {name for name in opened.namelist() if b"Lkotlin/Metadata;" in opened.read(name)}
    assert {"org/fedrela/client/DeviceClient.class", "org/fedrela/client/consent/LeavingKt.class"} <= told
    assert not {"org/fedrela/client/Walk.class", "org/fedrela/core/secure/MemberKt.class"} & told


@pytest.mark.parametrize("module", LIBRARIES)
def test_an_aar_holds_what_gradle_reads(module: str, tmp_path: Path) -> None:
    metadata = "META-INF/com/android/build/gradle/aar-metadata.properties"
    with zipfile.ZipFile(library(module, "aar")) as opened:
        files = {name for name in opened.namelist() if not name.endswith("/")}
        shrinkers = {"proguard.txt"} & files
        assert files - shrinkers == {"AndroidManifest.xml", "classes.jar", "R.txt", metadata}
        manifest = opened.read("AndroidManifest.xml").decode()
        rules = "".join(opened.read(name).decode() for name in shrinkers)
        properties = dict(line.split("=") for line in opened.read(metadata).decode().split())
        opened.extract("classes.jar", tmp_path)
        assert not opened.read("R.txt").strip()
    assert classes(tmp_path / "classes.jar") == classes(library(module, "jar"))
    assert properties["aarFormatVersion"] == "1.0"
    assert 'android:minSdkVersion="26"' in manifest
    # What the system or WorkManager makes by its name is there, and no shrinker takes it away.
    ours = {name.removesuffix(".class").replace("/", ".") for name in classes(tmp_path / "classes.jar")}
    kept = set(re.findall(r"-keep class (\S+)", rules))
    assert bool(kept) is (module in KEPT)
    assert kept <= ours | {"ai.onnxruntime.**"}
    assert set(re.findall(r'<service\s+android:name="(\S+)"', manifest)) <= kept


def test_the_manifest_asks_for_what_jobs_need_and_no_more() -> None:
    manifest = (ANDROID / "android/src/main/AndroidManifest.xml").read_text()
    assert set(re.findall(r'<uses-permission android:name="android\.permission\.(\w+)" />', manifest)) == PERMISSIONS
    assert 'android:exported="false"' in manifest
    assert 'android:permission="android.permission.BIND_JOB_SERVICE"' in manifest
