"""`fedrela device`: enroll, check, run, status, show-upload, forget, install-service.

What only one verb needs is imported by it, so that `status` on a Raspberry Pi doesn't wait for a runtime.
"""

import json
import os
import signal
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from threading import Event as StopEvent
from typing import Annotated, Any

import typer

from fedrela.core.errors import FedRelaError, InvalidInput, Unavailable
from fedrela.edge.owner.check_data import check_data
from fedrela.edge.owner.install import install_service
from fedrela.edge.owner.options import AsJson, State, again
from fedrela.edge.owner.settings import load as load_settings
from fedrela.edge.storage.store import FolderStore

app = typer.Typer(no_args_is_help=True)
device = typer.Typer(no_args_is_help=True, help="Enroll and run this device; list and revoke devices.")
app.add_typer(device, name="device")

INSECURE = "warning      plain http: anybody on the way can read along\n"


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
    from fedrela.edge.owner import runtime_trial
    from fedrela.edge.owner.membership import enroll as join
    from fedrela.edge.owner.membership import logged, notes, require_private

    parsed = links.parse(link)
    require_private(parsed, insecure=insecure)
    runtime = runtime_trial.usable()  # a machine that can't train takes nobody's place
    api, store = _api(parsed.url), FolderStore(state)
    with logged(api, store):
        told = notes(api, parsed)
    for note in [] if as_json else told:
        typer.echo(f"note: {note}", err=True)
    identity = join(api, store, parsed, insecure=insecure)
    public = {
        "device_id": identity.device_id,
        "coordinator": identity.url,
        "coordinator_public_key": identity.coordinator_public_key,
        "publishers": identity.publishers,
        "population": identity.population,
        "fleet": identity.fleet,
        "state": str(state),
        "notes": told,
    }
    text = (
        f"enrolled at {identity.url} as {identity.device_id}\n"
        f"pinned key   {identity.coordinator_public_key}\n"
        f"programs of  {', '.join(identity.publishers) or 'whoever the coordinator names'}\n"
        f"{f'groups with  devices of the fleet {identity.fleet} alone' + chr(10) if identity.fleet else ''}"
        f"{'' if links.is_private(identity.url) else INSECURE}"
        f"state folder {state}\nnext: fedrela device run{again(state)}"
        f"{'' if runtime == runtime_trial.USUAL else f' --runtime {runtime}'} --data FOLDER"
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
    check: Annotated[
        bool, typer.Option("--check", help="Try what a run needs: runtime, data, coordinator. Train nothing, and end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train whenever the coordinator wants this device and its conditions allow it. Ctrl-C or SIGTERM ends it cleanly.

    Example: fedrela device run --data ~/photos
    """
    from fedrela.edge.storage.state import load_enrolled

    chosen, runtimes, store = load_settings(settings), tuple(runtime or ("onnx",)), FolderStore(state)
    identity = load_enrolled(store)
    from fedrela.edge.sandbox.process import Limits, Sandbox

    if nice:
        os.nice(nice)
    limits = Limits(chosen.max_step_seconds, chosen.max_memory_bytes)
    sandbox = Sandbox(runtimes, threads=threads, limits=limits, required=chosen.require_sandbox)
    sandbox.start()  # it loads the runtime while we load the rest
    from fedrela.core.protocol import links
    from fedrela.edge.client import DeviceClient
    from fedrela.edge.conditions.sensors import Sensors
    from fedrela.edge.engines.pool import EnginePool
    from fedrela.edge.owner import trial
    from fedrela.edge.owner.progress import Reporter
    from fedrela.edge.owner.signals import stopped_by_signals
    from fedrela.edge.sources import open_source

    source, stop, api = open_source(data), StopEvent(), _api(identity.url)
    pool = EnginePool(runtimes, threads, sandbox=sandbox)
    pool.offered()  # a runtime that is missing is an error now, not at the first assignment
    with closing(sandbox), nullcontext() if check else store.lock(), stopped_by_signals(stop) as received:
        api.sleep = stop.wait
        reporter = Reporter(store, as_json=as_json, live=sys.stderr.isatty())
        reporter.confinement(pool.confinement)
        client = DeviceClient(
            api, store, source if check else reporter.reading(source), pool=pool, settings=chosen, stop=stop,
            sleep=stop.wait, on_event=reporter.event, conditions=Sensors(state, metered=chosen.metered_network).read,
        )  # fmt: skip
        if check:
            report = trial.check(client)
            typer.echo(json.dumps(report) if as_json else "\n".join(f"{key:12} {text}" for key, text in report.items()))
            return
        if not links.is_private(client.identity.url):
            typer.echo(f"warning: {client.identity.url} is plain http: anybody on the way can read along", err=True)
        if once:
            reporter.outcome(client.run_once())
        else:
            client.run(reporter.outcome)
    if signal.SIGINT in received:
        if sys.stderr.isatty():
            typer.echo("stopped: what was done is kept, and the next run goes on there", err=True)
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
    from fedrela.core.environment import network_settings
    from fedrela.edge.owner import leaving
    from fedrela.edge.owner.membership import leave
    from fedrela.edge.storage.state import load_identity
    from fedrela.edge.storage.state_folder import is_state_folder
    from fedrela.edge.training.faults import is_away

    store = FolderStore(state)
    if not is_state_folder(state):
        raise InvalidInput(f"there is nothing at {state}", remedy="name the state folder with --state")
    if not yes:
        typer.confirm(f"Delete {state} and leave the fleet? (--yes doesn't ask)", abort=True)
    unreached = ""
    with store.lock():
        identity = load_identity(store)
        url = identity.url if identity and identity.device_id else ""
        try:
            leave(_api(url), store)
        except FedRelaError as fault:
            if not offline:
                later = network_settings.remedy_for(fault.problem, "try again later")
                remedy = f"{later}; or add --offline to delete anyway, and nobody is told"
                raise Unavailable(fault.problem, remedy=remedy) if is_away(fault) else fault from fault
            unreached = fault.problem
        cleared = store.clear()
    said = leaving.deletion(state, cleared), leaving.told(url, unreached), leaving.services(state)
    typer.echo("\n".join(filter(None, said)))


device.command("check")(check_data)
device.command()(install_service)


def _api(url: str) -> Any:
    from fedrela.edge.network.api import CoordinatorApi
    from fedrela.edge.network.connection import client

    return CoordinatorApi(client(url))
