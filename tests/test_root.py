"""What `fedrela` itself offers: the console script, the public names, the version."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fedrela
from fedrela import cli
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[1]


def python(script, *, succeeds=True):
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not succeeds or finished.returncode == 0, finished.stderr
    return finished


@pytest.mark.parametrize("name", fedrela.__all__)
def test_every_public_name_is_there(name):
    assert getattr(fedrela, name)


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        fedrela.__getattr__("nonsense")


def test_importing_the_package_imports_nothing_else():
    python("import sys; before = set(sys.modules); import fedrela; assert set(sys.modules) - before == {'fedrela'}")


def test_its_types_are_published():
    assert (Path(fedrela.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_is_defined_by_its_modules(verb):
    for module in cli.VERBS[verb].modules:
        assert cli._from_module(module, verb) is not None


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("torch", ["export", "model:build", "--input", "uint8:1x8x8", "--classes", "3", "--out", "nowhere"]),
        ("httpx", ["task", "list", "--admin-key", "key"]),
        ("fastapi", ["serve", "--port", "0"]),
        ("httpx", ["device", "enroll", "http://127.0.0.1:1/join#token.00112233445566778899aabbccddeeff"]),
    ],
)
def test_a_verb_whose_extra_is_missing_says_which_to_install(missing, words, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRELA_DEV", "1")
    monkeypatch.setenv("FEDRELA_DATA", str(tmp_path))
    monkeypatch.setenv("FEDRELA_DEVICE_STATE", str(tmp_path / "state"))
    prepare = f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['fedrela', *{words!r}]"
    finished = python(f"{prepare}; import fedrela.cli; fedrela.cli.main()", succeeds=False)
    assert finished.returncode == 2, finished.stderr
    assert f"pip install 'fedrela[{cli.VERBS[words[0]].extra}]'" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_help_imports_no_package():
    script = (
        "import sys, fedrela.cli\n"
        "sys.argv = ['fedrela', '--help']\n"
        "try: fedrela.cli.main()\n"
        "except SystemExit: pass\n"
        "ours = {f'fedrela.{name}' for name in ('edge', 'coordinator', 'export', 'emulator', 'study')}\n"
        "heavy = ({'torch', 'fastapi', 'onnxruntime'} | ours) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "emulate" in finished.stdout


def test_an_unknown_verb_is_one_clear_line_and_a_failure():
    command = [sys.executable, "-m", "fedrela", "nonsense"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "nonsense" in finished.stderr
    assert "Traceback" not in finished.stderr


def test_the_package_and_all_clients_have_one_version():
    page = (ROOT / "web/src/device/version.ts").read_text()
    assert re.search(r'CLIENT = "page (.+)"', page)[1] == fedrela.__version__
    android = (ROOT / "android/client/src/main/kotlin/org/fedrela/client/Walk.kt").read_text()
    assert re.search(r'CLIENT: String = "android (.+)"', android)[1] == fedrela.__version__
    poms = [pom for pom in (ROOT / "android").glob("**/pom.xml") if "target" not in pom.parts]  # what a build unpacks
    assert {re.search(r"<version>(.+)</version>", pom.read_text())[1] for pom in poms} == {fedrela.__version__}
    command = [sys.executable, "-m", "fedrela", "--version"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout == f"fedrela {fedrela.__version__}\n"
    assert metadata.version("fedrela") == fedrela.__version__
    python_client = (ROOT / "edge/client.py").read_text()
    assert "from fedrela import __version__" in python_client


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["device", "check", "--data", ""], "--data is empty"),
        (["device", "status", "--state="], "--state is empty"),
        (["inspect", ""], "word 2 of the command is empty"),
        (["export", "model:build", "--out", "", "--classes", "3"], "--out is empty"),
    ],
)
def test_a_word_that_is_empty_is_refused_and_never_the_working_folder(words, said, tmp_path):
    command = [sys.executable, "-m", "fedrela", *words]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"error: {said}\n  what to do: leave it out, or give it a value")
    assert not any(tmp_path.iterdir())


def test_words_with_a_value_are_left_as_they_are():
    cli._refuse_empty(["emulate", "fleet.toml", "--set", "seed=", "--out=run", "-", "--", "a="])


def test_what_the_file_system_refuses_is_one_line_and_a_remedy(tmp_path):
    command = [sys.executable, "-m", "fedrela", "serve", "--dev", "--port", "0", "--workers", "2", "--data", "d"]
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "metrics").write_bytes(b"")  # where the workers' counters belong
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    said = finished.stderr.splitlines()
    assert said[-2].startswith("error: ")
    assert said[-2].endswith("metrics: File exists")
    assert said[-1] == "  what to do: check that it is there, of the right kind, and that this user may use it"


@pytest.mark.parametrize("port", ["80000", "-1"])
def test_a_port_that_is_none_is_refused_and_no_other_taken(port, tmp_path):
    command = [sys.executable, "-m", "fedrela", "serve", "--dev", "--port", port, "--data", "d"]
    finished = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert finished.returncode == 2
    assert "--port" in finished.stderr
    assert not (tmp_path / "d").exists()
