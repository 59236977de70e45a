"""The console script `fedrela`: mounts each package's `cli.app` when one of its verbs is asked for, and not before.

So a Raspberry Pi with only the edge extra never imports torch or FastAPI, and `fedrela --help` imports nothing.
"""

import importlib
import sys

import click
import typer
from core.errors import FedRelaError

# verb -> help line, the extra that installs what it needs, the modules whose typer `app` holds it
_VERBS = {
    "export": ("Turn a PyTorch classifier into training programs.", "export", ("export.cli",)),
    "verify": ("Run a bundle's golden steps on the installed runtimes.", "export", ("export.cli",)),
    "inspect": ("Show what a bundle holds.", "export", ("export.cli",)),
    "serve": ("Run the coordinator.", "coordinator", ("coordinator.cli",)),
    "publish": ("Send a bundle and a task to a coordinator.", "coordinator", ("coordinator.cli",)),
    "task": ("Create, list, pause, resume, cancel and export tasks.", "coordinator", ("coordinator.cli",)),
    "token": ("Create, list and revoke enrolment tokens.", "coordinator", ("coordinator.cli",)),
    "device": ("Enrol and run this device; list and revoke devices.", "edge", ("edge.cli", "coordinator.cli")),
    "emulate": ("Run a fleet of emulated devices.", "emulator", ("edge.emulator.cli",)),
    "report": ("Tables, plots and a page from recorded runs.", "emulator", ("edge.emulator.cli",)),
}


class _LazyVerbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS:
            return None
        help_line, extra, modules = _VERBS[cmd_name]
        if ctx.resilient_parsing or "--help" in sys.argv[1:2] or len(sys.argv) == 1:
            return click.Command(cmd_name, help=help_line)
        return _merge(cmd_name, [found for module in modules if (found := _load(module, cmd_name))], extra)


def _load(module: str, verb: str) -> click.Command | None:
    """The verb as `module` defines it, or None where the package's requirements aren't installed."""
    try:
        app = importlib.import_module(module).app
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("core", "edge", "export", "coordinator"):
            raise
        return None
    group = typer.main.get_group(app)
    return group.commands.get(verb)


def _merge(verb: str, found: list[click.Command], extra: str) -> click.Command:
    if not found:
        raise click.ClickException(f"`fedrela {verb}` needs more packages; run: pip install 'fedrela[{extra}]'")
    first, *others = found
    for other in others:
        if isinstance(first, click.Group) and isinstance(other, click.Group):
            first.commands |= other.commands
    return first


_cli = _LazyVerbs(name="fedrela", help=(__doc__ or "").split("\n", 1)[0] and "Federated training where the data is.")


def main() -> None:
    """Run a verb; an error of ours is one clear line and exit status 1."""
    try:
        _cli()
    except FedRelaError as error:
        click.echo(f"error: {error.problem}\n  what to do: {error.remedy}", err=True)
        sys.exit(1)
