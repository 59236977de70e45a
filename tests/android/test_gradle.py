"""Gradle's files say what Maven's build, which is the one that runs here, says."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

ANDROID = Path(__file__).parents[2] / "android"
POM = {"m": "http://maven.apache.org/POM/4.0.0"}
CATALOG = tomllib.loads((ANDROID / "gradle/libs.versions.toml").read_text())
ONLY_MAVENS = {"cli", "aars", "tools"}  # for tests, and in place of Gradle itself
MODULES = ["client", "onnx", "executorch", "android", "workmanager", "sample"]
SCOPES = {"compile": {"api", "implementation"}, "provided": {"compileOnly"}}

# What Maven takes in another form than Gradle: none of them is the same file in both.
JVM_ROOT = {"okhttp-jvm": "okhttp"}  # Gradle takes the variant for Android from the root
FROM_AARS = {"workmanager": {("work-runtime", "compile")}}  # Maven reads no AARs: they are the module `aars`
RUNTIME_OF_THE_APP = {"sample": {("onnxruntime", "provided"): ("onnxruntime-android", "compile")}}
PLATFORM = {"android-all"}  # Gradle has it from the SDK
DECLARATIONS = "compileOnly(declarations.output)"  # in place of an AAR, which neither build takes here


def pom(module: str = "") -> ElementTree.Element:
    return ElementTree.parse(ANDROID / module / "pom.xml").getroot()


def properties() -> dict[str, str]:
    return {item.tag.split("}")[1]: item.text or "" for item in pom().findall("m:properties/*", POM)}


def gradle(module: str) -> str:
    return (ANDROID / module / "build.gradle.kts").read_text()


def maven_dependencies(module: str) -> set[tuple[str, str]]:
    """Name and scope of each that is not a test's."""
    found = set()
    for item in pom(module).findall("m:dependencies/m:dependency", POM):
        name = item.findtext("m:artifactId", "", POM)
        scope = item.findtext("m:scope", "compile", POM)
        if name in PLATFORM or name in {"robolectric", "junit", "fedrela-aars", "fedrela-tools"} or scope == "test":
            continue
        found.add((JVM_ROOT.get(name, name), scope))
    replaced = RUNTIME_OF_THE_APP.get(module, {})
    return {replaced.get(item, item) for item in found} | FROM_AARS.get(module, set())


def gradle_dependencies(module: str) -> set[tuple[str, str]]:
    found = set()
    (block,) = re.findall(r"^dependencies \{\n(.*?)^\}", gradle(module), re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        if line.strip() == DECLARATIONS:
            continue
        ((configuration, what),) = re.findall(r'^    (\w+)\((project\(":\w+"\)|libs[\w.]+)\)$', line)
        (scope,) = (scope for scope, names in SCOPES.items() if configuration in names)
        if what.startswith("project"):
            name = "fedrela-" + what.split(":")[1].split('"')[0]
        else:
            library = CATALOG["libraries"][what.removeprefix("libs.").replace(".", "-")]
            name = library["module"].split(":")[1]
        found.add((name, scope))
    return found


def test_the_modules_are_maven_s_but_those_in_place_of_gradle():
    mavens = {item.text for item in pom().findall("m:modules/m:module", POM)}
    included = set(re.findall(r'":(\w+)"', (ANDROID / "settings.gradle.kts").read_text()))
    assert included == mavens - ONLY_MAVENS == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_the_dependencies_of_a_module_are_the_same(module):
    assert gradle_dependencies(module) == maven_dependencies(module)


def test_executorch_is_declared_and_never_packaged():
    assert "val declarations by sourceSets.creating" in gradle("executorch")
    assert DECLARATIONS in gradle("executorch")
    assert "<sourceDir>src/declarations/java</sourceDir>" in (ANDROID / "executorch/pom.xml").read_text()
    assert (ANDROID / "executorch/src/declarations/java").is_dir()  # where Gradle looks for a source set's Java


def test_versions_are_the_same():
    mavens, versions = properties(), CATALOG["versions"]
    names = {
        "kotlin": "kotlin",
        "okhttp": "okhttp",
        "bouncycastle": "bouncycastle",
        "onnxruntime": "onnxruntime",
        "work": "work",
    }
    assert {name: versions[name] for name in names} == {
        name: mavens[f"{maven}.version"] for name, maven in names.items()
    }
    assert versions["fedrela"] == pom().findtext("m:version", namespaces=POM)
    annotation = [
        item.findtext("m:version", namespaces=POM)
        for module in MODULES
        for item in pom(module).findall("m:dependencies/m:dependency", POM)
        if item.findtext("m:artifactId", "", POM) == "annotation-jvm"
    ]
    assert set(annotation) == {versions["annotation"]}


def test_the_plugin_is_of_the_generation_of_the_tools():
    """The merger of manifests has the plugin's version and 23 more; apksig has the plugin's own."""
    tools = {
        item.findtext("m:artifactId", "", POM): item.findtext("m:version", namespaces=POM)
        for item in pom("tools").findall("m:dependencies/m:dependency", POM)
    }
    major, rest = CATALOG["versions"]["agp"].split(".", 1)
    assert tools["apksig"] == f"{major}.{rest}"
    assert tools["manifest-merger"] == f"{int(major) + 23}.{rest}"


def test_sdk_levels_are_the_same():
    script = (ANDROID / "sample/apk/apk.sh").read_text()
    levels = dict(re.findall(r"^(MIN_SDK|TARGET_SDK)=(\d+)$", script, re.MULTILINE))
    versions = CATALOG["versions"]
    assert levels == {"MIN_SDK": versions["minSdk"], "TARGET_SDK": versions["targetSdk"]}
    assert int(versions["compileSdk"]) >= int(versions["targetSdk"])
    sniffed = re.findall(r"gummy-bears-api-(\d+)", (ANDROID / "pom.xml").read_text())
    assert set(sniffed) == {versions["minSdk"]}
    for module in ("client", "onnx", "executorch", "android", "workmanager"):
        manifest = (ANDROID / module / "src/main/AndroidManifest.xml").read_text()
        assert f'android:minSdkVersion="{versions["minSdk"]}"' in manifest


@pytest.mark.parametrize("module", ["onnx", "android", "workmanager"])
def test_a_library_s_package_and_keep_rules_are_the_same(module):
    manifest = (ANDROID / module / "src/main/AndroidManifest.xml").read_text()
    assert f'package="org.fedrela.{module}"' in manifest
    assert f'namespace = "org.fedrela.{module}"' in gradle(module)
    assert re.findall(r'consumerProguardFiles\("(.+)"\)', gradle(module)) == ["proguard.txt"]
    assert 'includes="proguard.txt"' in (ANDROID / "pom.xml").read_text()  # into the AAR


def test_the_app_s_package_and_keep_rules_are_the_same():
    script, own = (ANDROID / "sample/apk/apk.sh").read_text(), gradle("sample")
    package = re.search(r"^PACKAGE=(.+)$", script, re.MULTILINE)[1]
    assert f'namespace = "{package}"' in own
    assert f'applicationId = "{package}"' in own
    assert "package=" not in (ANDROID / "sample/src/main/AndroidManifest.xml").read_text()  # Gradle refuses one
    (rules,) = re.findall(r'proguardFiles\("(.+)"\)', own)
    assert rules in script
    assert (ANDROID / "sample" / rules).is_file()
    assert re.search(r"VERSION_CODE=(\d+)", script)[1] == re.search(r"versionCode = (\d+)", own)[1]


@pytest.mark.parametrize("module", MODULES)
def test_class_files_are_of_java_8_as_maven_s(module):
    assert "<jvmTarget>1.8</jvmTarget>" in (ANDROID / "pom.xml").read_text()
    assert gradle(module).count("JavaVersion.VERSION_1_8") == 2
    assert "JvmTarget.JVM_1_8" in gradle("")


@pytest.mark.parametrize(
    "file",
    ["settings.gradle.kts", "gradle/libs.versions.toml", "build.gradle.kts"]
    + [f"{m}/build.gradle.kts" for m in MODULES],
)
def test_each_file_says_first_who_ran_it_last(file):
    first = (ANDROID / file).read_text().splitlines()[0]
    assert re.match(rf"(//|#) Last run by: .+Android Gradle Plugin {re.escape(CATALOG['versions']['agp'])}", first)
