"""The console script `fedrela`: finds a verb's package when the verb is asked for, and not before.

So a Raspberry Pi with only the edge extra never imports torch or FastAPI, and `fedrela --help` imports no package.
Every package but `fedrela.core` is named as text.

    $ fedrela device run
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fedrela import __version__
from fedrela.core.environment import extras
from fedrela.core.errors import FedRelaError, InvalidInput


@dataclass(frozen=True)
class Verb:
    """One verb: its line in `fedrela --help`, the extra it needs, and the modules that define it."""

    summary: str
    extra: str
    modules: tuple[str, ...]


# What defines the verbs, by module.
EXPORT = "fedrela.export.cli"
BUNDLES = "fedrela.export.bundle_verbs"
OPERATOR = "fedrela.coordinator.cli.operator_verbs"
OWNER = "fedrela.edge.owner.cli"
EMULATOR = "fedrela.emulator.cli"
EVALUATION = "fedrela.emulator.evaluating"
STUDY = "fedrela.study.cli"
DOCTOR = "fedrela.edge.owner.doctor"

VERBS = {
    "export": Verb("Turn a PyTorch classifier into training programs.", "export", (EXPORT,)),
    "verify": Verb("Run a bundle's golden steps on the installed runtimes.", "edge", (BUNDLES,)),
    "inspect": Verb("Show what a bundle holds.", "edge", (BUNDLES,)),
    "audit": Verb("Look into what a bundle's programs compute.", "edge", (BUNDLES,)),
    "seal": Verb("Sign a bundle as its publisher.", "edge", (BUNDLES,)),
    "serve": Verb("Run the coordinator.", "coordinator", (OPERATOR,)),
    "publish": Verb("Send a bundle and a task to a coordinator.", "coordinator", (OPERATOR,)),
    "task": Verb("Create, list, pause, resume, cancel and download tasks.", "coordinator", (OPERATOR,)),
    "token": Verb("Create, list and revoke enrollment tokens.", "coordinator", (OPERATOR,)),
    "coordinator": Verb("Back a coordinator up; begin a new epoch after a restore.", "coordinator", (OPERATOR,)),
    "key": Verb("Give the coordinator a new signing key.", "coordinator", (OPERATOR,)),
    "fleet": Verb("Make the key by which no coordinator can invent devices.", "coordinator", (OPERATOR,)),
    "device": Verb("Enroll and run this device; list and revoke devices.", "edge", (OWNER, OPERATOR)),
    "emulate": Verb("Run a fleet of emulated devices.", "emulator", (EMULATOR,)),
    "evaluate": Verb("Evaluate a task's models on a test set of your own.", "emulator", (EVALUATION,)),
    "study": Verb("Measure what re-labeling adds, against everything else.", "study", (STUDY,)),
    "doctor": Verb("Say what is installed, what is missing, what is reachable.", "edge", (DOCTOR,)),
    "report": Verb("Table, plots and a page from recorded runs.", "emulator", (EMULATOR,)),
}


class VerbGroup(TyperGroup):
    """Lists every verb from the table above; loads one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, in the order of a run's life."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb, or for the list of `fedrela --help` only its summary."""
        if cmd_name not in VERBS:
            return None
        if cmd_name not in sys.argv:
            return _summary(cmd_name)
        return load(cmd_name)


def load(name: str) -> Any:
    """The command for a verb, its sub-verbs merged from every module that is installed. Exits 2 if none is."""
    commands, lacking = [], ""
    for module in VERBS[name].modules:
        try:
            commands.append(_from_module(module, name))
        except ModuleNotFoundError as error:
            if _is_ours(error):
                raise
            lacking = error.name or ""
    if not commands:
        typer.echo(_needs_more(name, lacking), err=True)
        raise typer.Exit(2)
    first, *others = commands
    for other in others:
        first.commands.update(other.commands)
    return first


def _needs_more(verb: str, lacking: str) -> str:
    """What to install for a verb that found the module `lacking` missing."""
    own = VERBS[verb].extra
    provider = extras.providing(lacking, first=(own,)) or own
    line = extras.install_line(provider, *([own] if extras.missing(own) else []))
    return f"error: `fedrela {verb}` needs {lacking or 'more packages'}, which is not installed\n  run: {line}"


def _from_module(module: str, verb: str) -> Any:
    """The verb as `module` defines it. Raises ModuleNotFoundError where something that it needs isn't installed."""
    group = typer.main.get_group(importlib.import_module(module).app)
    return group.commands[verb]


def _is_ours(error: ModuleNotFoundError) -> bool:
    """One of our own modules is broken: never hide that."""
    return (error.name or "").split(".")[0] == "fedrela"


def _summary(name: str) -> Any:
    listing = typer.Typer()
    listing.command(name, help=VERBS[name].summary)(lambda: None)
    return typer.main.get_command(listing)


app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train an imbalanced classifier across devices whose data stays private.",
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"fedrela {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train an imbalanced classifier across devices whose data stays private."""


def _refuse_empty(words: Sequence[str]) -> None:
    """Raise InvalidInput for a word that is empty: as a path it would name the working folder."""
    for number, word in enumerate(words):
        name = word.removesuffix("=")
        if name and (name == word or not name.startswith("--") or "=" in name):
            continue
        option = name or next((before for before in words[number - 1 : number] if before.startswith("-")), "")
        raise InvalidInput(
            f"{option or f'word {number + 1} of the command'} is empty",
            remedy="leave it out, or give it a value: is a variable of the shell not set?",
        )


def main() -> None:
    """Run a verb. One of our errors becomes one clear line, its remedy, and exit status 1."""
    try:
        _refuse_empty(sys.argv[1:])
        app()
    except FedRelaError as error:
        typer.echo(f"error: {error.problem}\n  what to do: {error.remedy}", err=True)
        sys.exit(1)
    except OSError as error:  # the last boundary to the file system; whoever knows more says more
        named = f"{error.filename}: " if error.filename else ""
        remedy = "check that it is there, of the right kind, and that this user may use it"
        typer.echo(f"error: {named}{error.strerror or error}\n  what to do: {remedy}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:  # what only the verb's work needs is imported when it runs
        verb = next((word for word in sys.argv[1:] if word in VERBS), None)
        if verb is None or _is_ours(error):
            raise
        typer.echo(_needs_more(verb, error.name or ""), err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
