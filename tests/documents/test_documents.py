"""What the documents tell people to type exists, and each block is run by `make walk` or has a reason not to be."""

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedrela import cli
from fedrela.core import task as task_file
from fedrela.edge.owner import settings as device_settings
from fedrela.emulator import scenario
from tests.documents import blocks as documents
from tests.documents.blocks import LISTED, Block

BLOCKS = documents.blocks()
COMMANDS = [(block, line) for block in BLOCKS for line in block.commands if documents.fedrela_words(line)]


def named(block: Block) -> str:
    return f"{block.document}:{block.line}"


def test_every_block_is_run_or_has_a_reason_and_no_reason_is_left_over() -> None:
    # Outside of the README nothing is run: what is there shows options, or has a test of its own.
    unknown = [named(block) for block in BLOCKS if block.document != "README.md" and block.reason is None]
    assert unknown == []
    stale = [key for key in LISTED if not any(block.is_named(key) for block in BLOCKS)]
    assert stale == []
    assert len([block for block in BLOCKS if block.reason is None]) >= 4


def options(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    yield "--help"


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=[f"{named(b)} {line}"[:80] for b, line in COMMANDS])
def test_every_verb_and_option_that_is_shown_exists(block: Block, line: str) -> None:
    words = documents.fedrela_words(line)
    for alternative in words[1].split("|") if len(words) > 1 and "|" in words[1] else [None]:
        chosen = [words[0], alternative, *words[2:]] if alternative else words
        command = cli.load(chosen[0])
        rest = chosen[1:]
        while hasattr(command, "commands"):
            assert rest, f"{line}: which of {', '.join(command.commands)}?"
            assert rest[0] in command.commands, line
            command, rest = command.commands[rest[0]], rest[1:]
        assert [word for word in rest if word.startswith("--") and word not in set(options(command))] == []


def test_files_that_are_shown_can_be_read(tmp_path: Path) -> None:
    by_start = {block.text.splitlines()[0]: block.text for block in BLOCKS if block.language == "toml"}
    readme = next(text for start, text in by_start.items() if start == "# task.toml")
    assert task_file.from_toml(readme, trial=True).name == "digits"
    assert scenario.from_toml(by_start['name = "evening"']).devices == 500
    (settings,) = [text for start, text in by_start.items() if start.startswith("checkpoint_steps")]
    (tmp_path / "device.toml").write_text(settings)
    shown, usual = device_settings.load(tmp_path / "device.toml"), device_settings.load(None)
    assert replace(shown, metered_network=None, eligibility=usual.eligibility) == usual


def test_python_that_is_shown_is_python() -> None:
    shown = [block for block in BLOCKS if block.language == "python"]
    assert len(shown) > 3
    for block in shown:
        ast.parse(block.text, named(block))
