"""The sample's APK as it is built: its merged manifest, its resources, what the shrinker left, and its size."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.android.artifacts import dex
from tests.android.artifacts.class_files import members
from tests.android.device import KOTLIN

pytestmark = KOTLIN

ANDROID = Path(__file__).parents[3] / "android"
APK = ANDROID / "sample/target/fedrela-sample.apk"
RESOURCES = ANDROID / "sample/src/main/res"
AAPT2 = ANDROID / "tools/target/apktool/prebuilt/linux/aapt2"
MOST_BYTES = 2_000_000  # without a runtime, whose libraries an app brings
NEWEST_DEX = 38  # that Android 8, which is API level 26, reads
PERMISSIONS = {"INTERNET", "ACCESS_NETWORK_STATE", "RECEIVE_BOOT_COMPLETED"}
# All that the system may call by name, and whether other apps may, too.
PARTS = {
    "activity": {"org.fedrela.sample.MainActivity": True, "org.fedrela.sample.SentActivity": False},
    "service": {"org.fedrela.android.TrainingJobService": False},
    "provider": {"androidx.startup.InitializationProvider": False},  # OkHttp's, which reads its list of domains
    "receiver": {},
}
ELEMENT, ATTRIBUTE = (
    re.compile(r"^ *E: (\S+)"),
    re.compile(r'^ *A: (?:\S+:)?(\w+)(?:\(\w+\))?=("?)(.*?)\2(?: \(Raw|$)'),
)


@pytest.fixture(scope="module")
def manifest(built: None) -> list[tuple[str, dict[str, str]]]:
    """The elements of the APK's manifest, each with its attributes."""
    elements: list[tuple[str, dict[str, str]]] = []
    for line in aapt2("xmltree", "--file", "AndroidManifest.xml").splitlines():
        if element := ELEMENT.match(line):
            elements.append((element[1], {}))
        elif attribute := ATTRIBUTE.match(line):
            elements[-1][1][attribute[1]] = attribute[3]
    return elements


@pytest.fixture(scope="module")
def defined(built: None) -> dict[str, set[str]]:
    """What the APK's one dex file defines."""
    with zipfile.ZipFile(APK) as apk:
        assert [name for name in apk.namelist() if name.endswith(".dex")] == ["classes.dex"]
        return dex.members(apk.read("classes.dex"))


def aapt2(what: str, *options: str) -> str:
    """What aapt2 reads in the APK."""
    return subprocess.run([AAPT2, "dump", what, *options, APK], capture_output=True, text=True, check=True).stdout


def test_the_app_is_what_its_build_says(manifest: list[tuple[str, dict[str, str]]]) -> None:
    (root,) = (attributes for name, attributes in manifest if name == "manifest")
    (sdk,) = (attributes for name, attributes in manifest if name == "uses-sdk")
    assert (root["package"], root["versionName"]) == ("org.fedrela.sample", pom_version())
    assert (sdk["minSdkVersion"], sdk["targetSdkVersion"]) == ("26", "36")
    assert root["compileSdkVersion"] == "36"
    (application,) = (attributes for name, attributes in manifest if name == "application")
    assert application["allowBackup"] == "false"
    assert application["extractNativeLibs"] == "false"
    assert "debuggable" not in application


def pom_version() -> str:
    return re.findall(r"<version>(.+)</version>", (ANDROID / "pom.xml").read_text())[0]


def test_the_merged_manifest_asks_for_what_jobs_need_and_no_more(manifest: list[tuple[str, dict[str, str]]]) -> None:
    asked = {attributes["name"] for name, attributes in manifest if name == "uses-permission"}
    assert asked == {f"android.permission.{name}" for name in PERMISSIONS}
    assert not {name for name, _ in manifest} & {"permission", "uses-permission-sdk-23", "uses-feature", "queries"}


def test_the_merged_manifest_holds_what_we_and_okhttp_put_there(manifest: list[tuple[str, dict[str, str]]]) -> None:
    for part, expected in PARTS.items():
        found = {attributes["name"]: attributes for name, attributes in manifest if name == part}
        assert {name: attributes["exported"] == "true" for name, attributes in found.items()} == expected
    (service,) = (attributes for name, attributes in manifest if name == "service")
    assert service["permission"] == "android.permission.BIND_JOB_SERVICE"


def names(file: str, kind: str) -> list[str]:
    """The resources of a kind that a file defines."""
    return re.findall(rf'<{kind} name="(\w+)"', (RESOURCES / file).read_text())


def test_resources_are_resolved_in_both_languages_and_by_night() -> None:
    table = aapt2("resources")
    assert "com.android.aapt" not in table
    assert re.search(r'string/app_name\n +\(\) "', table)
    for name in names("values-de/strings.xml", "string"):
        assert re.search(rf'string/{name}\n +\(\) ".*"\n +\(de\) "', table), name
    for name in names("values-night/colors.xml", "color"):
        assert re.search(rf"color/{name}\n +\(\) #\w+\n +\(night\) #\w+", table), name
    with zipfile.ZipFile(APK) as apk:
        files = set(apk.namelist())
    assert set(re.findall(r"\(file\) (res/\S+)", table)) <= files
    layouts = {path.stem for path in (RESOURCES / "layout").iterdir()}
    assert layouts <= set(re.findall(r"layout/(\w+)\n", table))


def test_the_shrinker_leaves_what_is_reached_by_name(
    defined: dict[str, set[str]], manifest: list[tuple[str, dict[str, str]]]
) -> None:
    named = {name for names in PARTS.values() for name in names}
    assert named | {"org.fedrela.sample.App"} <= defined.keys()
    assert "<init>" in defined["org.fedrela.android.TrainingJobService"]


def test_the_shrinker_leaves_the_runtime_s_classes_whole(defined: dict[str, set[str]]) -> None:
    """Native code reaches them, their methods and their fields by name, and their own library ships no rule."""
    with zipfile.ZipFile(ANDROID / "tools/target/onnxruntime.jar") as jar:
        classes = [name for name in jar.namelist() if re.fullmatch(r"ai/onnxruntime/.+\.class", name)]
        whole = {name.removesuffix(".class").replace("/", "."): members(jar.read(name)) for name in classes}
    assert len(whole) > 50
    for name, names in whole.items():
        assert names <= defined[name], name


def test_the_shrinker_takes_away_what_nobody_reaches(defined: dict[str, set[str]]) -> None:
    ciphers = [name for name in defined if name.startswith("org.bouncycastle.")]
    assert 0 < len(ciphers) < 300  # of some 4 000


def test_any_android_from_8_on_reads_the_dex_file() -> None:
    with zipfile.ZipFile(APK) as apk:
        assert dex.version(apk.read("classes.dex")) <= NEWEST_DEX


def test_the_app_is_small_and_brings_no_native_library() -> None:
    assert APK.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(APK) as apk:
        assert not [name for name in apk.namelist() if name.endswith(".so")]
