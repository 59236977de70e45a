"""The blocks of README.md and docs/*.md that somebody may type or copy, and what becomes of each.

`make walk` runs the README's in order; each of `LISTED` has its reason not to be. Verbs and options of all are checked.
"""

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?:    \S.*\n)+")

# A document and how a block begins -> why it is not run as it is written.
LISTED = {
    ("README.md", "$ make demo"): "installs; a job of CI's own",
    ("README.md", "python3 -m venv ~/fedrela"): "installs, with what `make dist` made",
    ("docs/android.md", "make android"): "needs a JDK and Maven; commands of their own",
    ("docs/android.md", "pip install '.[coordinator"): "installs, and needs a phone; the README serves",
    ("docs/android.md", 'includeBuild("path'): "Gradle's, which is not at hand",
    ("docs/android.md", "dependencies {"): "Gradle's, which is not at hand",
    ("docs/android.md", '    implementation("org.fedrela:executorch")'): "Gradle's, which is not at hand",
    ("docs/android.md", "class App : Application()"): "Kotlin of an app: the sample's own does the same",
    ("docs/android.md", "for (offer in fedrela.offers(link))"): "Kotlin of an app: the sample's own does the same",
    ("docs/device.md", "pipx install"): "installs, and the link is the operator's",
    ("docs/device.md", "systemctl --user disable"): "needs a user's systemd; forget prints it: test_leaving.py",
    ("docs/device.md", "checkpoint_steps = 20"): "a settings file: read by test_documents",
    ("docs/device.md", "stop = threading.Event()"): "a part of examples/embedding.py, which a test runs",
    ("docs/emulator.md", "fedrela emulate trial "): "placeholders; README runs trial and ci",
    ("docs/emulator.md", "python -m benchmarks.emulator"): "takes half an hour",
    ("docs/emulator.md", 'name = "evening"'): "a scenario: read by test_documents",
    ("docs/emulator.md", "@pytest.mark.scenario"): "examples/ci_project, which a test runs",
    ("docs/export.md", "fedrela export my_module:build"): "the README's own model; run there",
    ("docs/export.md", 'start = load_file("statistics'): "a part of a device's loop with a runtime of its own",
    ("docs/operations.md", "python3 -m venv ~/fedrela"): "installs; the README serves",
    ("docs/operations.md", "(umask 077"): "the file by tests/coordinator/test_manual.py; serving needs a certificate",
    ("docs/operations.md", "pip install 'fedrela[postgresql]'"): "run by tests/coordinator/test_manual.py",
    ("docs/operations.md", "openssl req"): "run by tests/coordinator/cli/test_operator_verbs.py",
    ("docs/operations.md", 'echo "export FEDRELA_PUBLIC_URL'): "run by tests/coordinator/test_reverse_proxies.py",
    ("docs/operations.md", "[Unit]"): "run by tests/coordinator/test_manual.py",
    ("docs/operations.md", "server {"): "run by tests/coordinator/test_reverse_proxies.py",
    ("docs/operations.md", "fl.example.org {"): "run by tests/coordinator/test_reverse_proxies.py",
    ("docs/operations.md", "fedrela publish BUNDLE"): "a table of verbs with placeholders",
    ("docs/operations.md", "import numpy, onnxruntime"): "run by tests/export/test_trained_model.py",
    ("docs/operations.md", "import safetensors.torch"): "run by tests/export/test_trained_model.py",
    ("docs/operations.md", "fedrela coordinator backup /backup/monday"): "run by tests/edge/test_backup.py",
    ("docs/operations.md", "(umask 077; pg_dump"): "run by tests/coordinator/test_manual.py",
    ("docs/operations.md", "psql --quiet"): "run by tests/coordinator/test_manual.py",
    ("docs/operations.md", "fedrela coordinator backup /backup/before"): "run by tests/edge/test_backup.py",
    ("docs/operations.md", "fedrela coordinator new-epoch"): "run by tests/edge/test_restored.py",
    ("docs/operations.md", "fedrela key rotate"): "run by tests/coordinator/access/test_trust.py",
    ("docs/operations.md", "scrape_configs:"): "Prometheus's own file",
    ("docs/study.md", "# mine.toml"): "a study: read by test_documents",
}


@dataclass(frozen=True)
class Block:
    """A block of a document: where it is, its language (often none), and its lines."""

    document: str
    line: int
    language: str
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None for one that is."""
        return next((why for key, why in LISTED.items() if self.is_named(key)), None)

    def is_named(self, key: tuple[str, str]) -> bool:
        """Whether a key of `LISTED` means this block."""
        return key[0] == self.document and self.text.startswith(key[1])

    @cached_property
    def commands(self) -> list[str]:
        """Its command lines, without prompt and remark; a line that ends in a backslash goes on."""
        if self.language not in ("", "console", "shell"):
            return []
        joined = self.text.replace("\\\n", " ")
        lines = [re.sub(r"\s+# .*", "", line.removeprefix("$ ")).strip() for line in joined.splitlines()]
        return [line for line in lines if line]


def blocks() -> list[Block]:
    """Every block, in the order of reading."""
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [block for path in documents for block in _of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]


def _of(document: str, text: str) -> list[Block]:
    found = [
        Block(document, text.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in _FENCED.finditer(text)
    ]
    plain = _FENCED.sub(lambda match: "\n" * match[0].count("\n"), text)
    for match in _INDENTED.finditer(plain):
        lines = "".join(line[4:] for line in match[0].splitlines(keepends=True))
        found.append(Block(document, plain.count("\n", 0, match.start()) + 1, "", lines))
    return sorted(found, key=lambda block: block.line)


def fedrela_words(command: str) -> list[str]:
    """The words after `fedrela` in a command line; empty where it calls another program."""
    words = shlex.split(re.sub(r"^(?:[A-Z_]+=\S+ +)+", "", command).removesuffix("&").replace("[", "").replace("]", ""))
    return words[1:] if words[:1] == ["fedrela"] else []
