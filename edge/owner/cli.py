"""`fedrela device`: enroll, run, status, show-upload, forget, install-service.

What only one verb needs is imported by it, so that `status` on a Raspberry Pi doesn't wait for a runtime.
"""

import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path
from threading import Event as StopEvent
from typing import Annotated, Any

import typer

from fedrela.core.errors import InvalidInput, Unavailable
from fedrela.edge.owner.settings import load as load_settings
from fedrela.edge.storage.store import FolderStore

app = typer.Typer(no_args_is_help=True)
device = typer.Typer(no_args_is_help=True, help="Enroll and run this device; list and revoke devices.")
app.add_typer(device, name="device")

INSECURE = "warning      plain http: anybody on the way can read along\n"
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0


def default_state() -> Path:
    """$FEDRELA_DEVICE_STATE, else fedrela below $XDG_STATE_HOME, else ~/.local/state/fedrela."""
    folder = os.environ.get("FEDRELA_DEVICE_STATE")
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(folder) if folder else Path(base).expanduser() / "fedrela"


State = Annotated[
    Path, typer.Option("--state", default_factory=default_state, help="Where this device keeps its private state.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@device.callback()
def _root() -> None:
    """Enroll and run this device; list and revoke devices."""


@device.command()
@device.command("enrol", hidden=True)  # its name in version 0.1
def enroll(
    link: Annotated[str, typer.Argument(help="The link that the operator gave you, in quotes: https://host/join#...")],
    state: State,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow plain http to another machine, on a network that you trust.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Join a coordinator: exchange the link for a token of this device's own and pin the coordinator's key.

    Example: fedrela device enroll 'https://fl.example.org/join#k3p...'
    """
    from fedrela.core.protocol import links
    from fedrela.edge.owner.membership import enroll as join
    from fedrela.edge.owner.membership import require_private, small_cohorts

    parsed = links.parse(link)
    require_private(parsed, insecure=insecure)
    api = _api()
    warnings = small_cohorts(api, parsed)
    for warning in [] if as_json else warnings:
        typer.echo(f"note: {warning}", err=True)
    identity = join(api, FolderStore(state), parsed, insecure=insecure)
    public = {
        "device_id": identity.device_id,
        "coordinator": identity.url,
        "coordinator_public_key": identity.coordinator_public_key,
        "publishers": identity.publishers,
        "population": identity.population,
        "state": str(state),
        "notes": warnings,
    }
    text = (
        f"enrolled at {identity.url} as {identity.device_id}\n"
        f"pinned key   {identity.coordinator_public_key}\n"
        f"programs of  {', '.join(identity.publishers) or 'whoever the coordinator names'}\n"
        f"{'' if links.is_private(identity.url) else INSECURE}"
        f"state folder {state}\nnext: fedrela device run --data FOLDER"
    )
    typer.echo(json.dumps(public) if as_json else text)


@device.command()
def run(
    data: Annotated[
        str,
        typer.Option(
            "--data",
            envvar="FEDRELA_DATA_SOURCE",
            help="A folder or .zip of class folders, a .npz or .csv file, a folder of IDX files or CIFAR batches, "
            "or package.module:function.",
        ),
    ],
    state: State,
    once: Annotated[
        bool, typer.Option("--once", help="Take one assignment, or learn that there is none, and end.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    nice: Annotated[int, typer.Option(min=0, max=19, help="Give way to other programs: 0 not at all, 19 most.")] = 0,
    runtime: Annotated[list[str] | None, typer.Option(help="onnx or executorch, best first.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="A TOML file of settings: conditions, checkpoints, budgets, hold-out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train whenever the coordinator wants this device and its conditions allow it. Ctrl-C or SIGTERM ends it cleanly.

    Example: fedrela device run --data ~/photos
    """
    from fedrela.edge.sandbox.process import Limits, Sandbox

    chosen, runtimes = load_settings(settings), tuple(runtime or ("onnx",))
    if nice:
        os.nice(nice)
    limits = Limits(chosen.max_step_seconds, chosen.max_memory_bytes)
    sandbox = Sandbox(runtimes, threads=threads, limits=limits, required=chosen.require_sandbox)
    sandbox.start()  # it loads the runtime while we load the rest
    from fedrela.core.protocol import links
    from fedrela.edge.client import DeviceClient
    from fedrela.edge.conditions.sensors import Sensors
    from fedrela.edge.engines.pool import EnginePool
    from fedrela.edge.owner.progress import Reporter
    from fedrela.edge.owner.signals import stopped_by_signals
    from fedrela.edge.sources import open_source

    source, stop, api = open_source(data), StopEvent(), _api()
    pool = EnginePool(runtimes, threads, sandbox=sandbox)
    pool.offered()  # a runtime that is missing is an error now, not at the first assignment
    store = FolderStore(state)
    with closing(sandbox), store.lock(), stopped_by_signals(stop) as received:
        api.sleep = stop.wait
        reporter = Reporter(store, as_json=as_json, live=sys.stderr.isatty())
        reporter.confinement(pool.confinement)
        client = DeviceClient(
            api, store, source, pool=pool, settings=chosen, stop=stop, sleep=stop.wait, on_event=reporter.event,
            conditions=Sensors(state, metered=chosen.metered_network).read,
        )  # fmt: skip
        if not links.is_private(client.identity.url):
            typer.echo(f"warning: {client.identity.url} is plain http: anybody on the way can read along", err=True)
        if once:
            reporter.outcome(client.run_once())
        else:
            client.run(reporter.outcome)
    if signal.SIGINT in received:
        raise typer.Exit(130)


@device.command()
def status(state: State, as_json: AsJson = False) -> None:
    """Whether this device is enrolled, what it is doing, and what its sensors say."""
    from fedrela.edge.conditions.sensors import Sensors
    from fedrela.edge.owner.status import describe, render
    from fedrela.edge.sandbox.seal import confinement_here

    standing = describe(FolderStore(state), str(state), Sensors(state).read(), confinement_here())
    typer.echo(json.dumps(standing) if as_json else render(standing))


@device.command()
def show_upload(
    state: State,
    values: Annotated[bool, typer.Option("--values", help="Every number too; --json always has them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Everything this device has sent: the log of requests, and the newest message of each kind in full."""
    from fedrela.edge.owner.disclosure import describe, render

    disclosure = describe(FolderStore(state), values=values or as_json)
    typer.echo(json.dumps(disclosure) if as_json else render(disclosure))


@device.command()
def forget(
    state: State,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Delete even if the coordinator can't be told.")] = False,
) -> None:
    """Leave: tell the coordinator to forget this device, and delete everything it keeps. Your data stay untouched."""
    from fedrela.edge.owner.membership import forget as leave

    if not state.exists():
        raise InvalidInput(f"there is nothing at {state}", remedy="name the state folder with --state")
    if not yes:
        typer.confirm(f"Delete {state} and leave the fleet?", abort=True)
    store = FolderStore(state)
    with store.lock():
        try:
            leave(_api(), store)
        except Unavailable as fault:
            if not offline:
                raise Unavailable(fault.problem, remedy="try again later, or add --offline to delete anyway") from fault
            store.clear()
    typer.echo(f"{state} is deleted" + ("" if not offline else "; the coordinator may not know yet"))


@device.command()
def install_service(
    data: Annotated[str, typer.Option("--data", help="As for `fedrela device run`.")],
    state: State,
    settings: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
    system: Annotated[
        bool, typer.Option("--system", help="A unit of the system's manager, which runs as the state folder's owner.")
    ] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Print the unit; write nothing.")] = False,
) -> None:
    """Write a systemd unit that keeps this device running, at low priority, seeing of your home only what it needs."""
    from fedrela.edge.owner.systemd import SYSTEM_START, USER_START, service, unit, unit_file

    load_settings(settings)
    if not (state / "identity.json").is_file():
        raise InvalidInput(f"no device is enrolled at {state}", remedy="run `fedrela device enroll <link>` first")
    located = Path(data).expanduser()
    named = [*([located] if located.exists() else []), *([settings] if settings else [])]
    words = ["device", "run", "--data", str(located.resolve() if located.exists() else data)]
    words += ["--state", str(state.resolve()), *(["--settings", str(settings.resolve())] if settings else [])]
    text = unit(service(words, state.resolve(), named, system=system))
    if print_only:
        typer.echo(text)
        return
    path = unit_file(system=system)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    typer.echo(f"wrote {path}\n{SYSTEM_START if system else USER_START}")


def _api() -> Any:
    import httpx

    from fedrela.edge.network.api import CoordinatorApi

    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    return CoordinatorApi(httpx.Client(timeout=timeout))
