"""What a document names is there: files and folders of the tree, commands of the Makefile, modules that are run."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedrela import __version__
from fedrela.cli import VERBS

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for place in (".", "web", "docs", "conformance") for path in (ROOT / place).glob("*.md"))
IGNORED = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}  # what runs and builds leave
FOLDERS = "|".join(
    sorted(
        path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._" and path.name not in IGNORED
    )
)
_PATH = re.compile(rf"`((?:{FOLDERS})/[\w./*-]*)`")
_TARGET = re.compile(r"(?:`|^|\$ )make ([a-z][a-z0-9-]*)(?=`|,|\s+#|$)", re.MULTILINE)
_MODULE = re.compile(r"python -m\s+([A-Za-z_][\w.]*)")
_WHEEL = re.compile(r"fedrela-([0-9.]+)-py3-none-any\.whl")
_EXTRA = re.compile(r"(?:fedrela|\.whl)\[([a-z0-9,]+)\]")
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_VERB = re.compile(r"`fedrela ([a-z]+)[ `]")
WRITTEN = ("benchmarks/results/", "android/sample/target/")  # by whoever measures, or builds


def named(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """(document, what it names) for every match."""
    for path in DOCUMENTS:
        for match in pattern.finditer(path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix(), match[1]


def _is_there(path: str) -> bool:
    return path.startswith(WRITTEN) or bool(list(ROOT.glob(path.rstrip("/"))))


def test_every_path_that_is_named_is_there() -> None:
    found = list(named(_PATH))
    assert len(found) > 50
    assert [place for place in found if not _is_there(place[1])] == []


def test_every_command_of_the_makefile_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    found = list(named(_TARGET))
    assert {target for _, target in found} >= {"demo", "test"}
    assert [(where, target) for where, target in found if target not in targets] == []


def test_every_module_that_is_run_is_there() -> None:
    ours = [(where, module) for where, module in named(_MODULE) if module.split(".")[0] in {*FOLDERS.split("|")}]
    assert len(ours) > 10

    def is_there(module: str) -> bool:
        path = ROOT / module.replace(".", "/")
        return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()

    assert [(where, module) for where, module in ours if not is_there(module)] == []


def test_every_wheel_and_extra_that_is_named_is_what_the_package_is() -> None:
    assert {version for _, version in named(_WHEEL)} == {__version__}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [(where, extra) for where, found in named(_EXTRA) for extra in found.split(",")]
    assert [(where, extra) for where, extra in extras if extra not in project["optional-dependencies"]] == []


def _anchors(text: str) -> set[str]:
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def test_every_link_leads_to_a_file_and_a_heading_of_it() -> None:
    lost = []
    for where, link in named(_LINK):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        path = (ROOT / where).parent / file if file else ROOT / where
        is_heading = not anchor or anchor in _anchors(path.read_text(encoding="utf-8")) if path.is_file() else False
        if not (path.is_dir() or is_heading):
            lost.append((where, link))
    assert lost == []


@pytest.mark.parametrize("verb", sorted({verb for _, verb in named(_VERB)}))
def test_every_verb_that_is_named_is_there(verb: str) -> None:
    assert verb in VERBS
