"""`fedrela doctor`: what is installed, what is missing, and for a device its sensors, its clock and its coordinator.

It needs nothing but the base of the package, so that it can say what else is wanted.
"""

import json
import os
import platform
import time
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from fedrela import __version__
from fedrela.core.environment import extras, network_settings
from fedrela.core.errors import FedRelaError, MissingDependency, Unavailable
from fedrela.edge.owner.options import AsJson, State

CLOCK_SECONDS = 60.0  # off by more than this, certificates and opening hours mean something else
TOLD_SECONDS = 5.0  # answers name whole seconds, and take their time: less than this is no difference
LOCAL_URL = "http://127.0.0.1:8000"
app = typer.Typer(add_completion=False)


@app.callback()
def _root() -> None:
    """Say what is installed and what is missing."""


@app.command()
def doctor(
    state: State,
    url: Annotated[
        str,
        typer.Option(envvar="FEDRELA_URL", help="A coordinator. [default: the one that this device is enrolled at]"),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Say what is installed, what is missing, what sensors and clock say, and whether the coordinator is reachable."""
    report = examine(state, url)
    typer.echo(json.dumps(report) if as_json else render(report))
    if report["problems"]:
        raise typer.Exit(1)


def examine(state: Path, url: str = "") -> dict[str, Any]:
    """Everything as plain data; `problems` is what needs mending, each with what to do."""
    lacking = {extra: extras.missing(extra) for extra in (*extras.USUAL, *extras.STORES)}
    report: dict[str, Any] = {
        "fedrela": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "installed": [extra for extra, missing in lacking.items() if not missing],
        "missing": {extra: missing for extra, missing in lacking.items() if missing},
        "runtime": None,
        "device": None,
        "coordinator": None,
        "problems": [],
    }
    has_edge = "edge" in report["installed"]
    try:
        report["runtime"] = _runtime() if has_edge else None
    except FedRelaError as error:  # and the rest is looked at all the same
        report["problems"].append(f"{error.problem}: {error.remedy}")
    try:
        report["device"] = _device(state) if has_edge else None
        called = url or (report["device"] or {}).get("coordinator")
        report["coordinator"] = _coordinator(called) if called else None
    except FedRelaError as error:
        report["problems"].append(f"{error.problem}: {error.remedy}")
    behind = (report["coordinator"] or {}).get("clock_behind_seconds")
    if behind is not None and abs(behind) > CLOCK_SECONDS:
        report["problems"].append(f"this machine's clock and the coordinator's differ by {behind:.0f} s: set the clock")
    return report


def _runtime() -> str:
    """Name and version of the runtime that a device would use. Raises MissingDependency where none starts."""
    from fedrela.edge.owner import runtime_trial

    return runtime_trial.started(runtime_trial.USUAL)


def _device(state: Path) -> dict[str, Any]:
    from fedrela.edge.conditions.sensors import Sensors
    from fedrela.edge.owner.status import describe
    from fedrela.edge.sandbox.seal import confinement_here
    from fedrela.edge.storage.store import FolderStore

    standing = describe(FolderStore(state), str(state), Sensors(state).read(), confinement_here())
    return {name: standing[name] for name in ("state", "enrolled", "coordinator", "conditions", "sandbox")}


def _coordinator(url: str) -> dict[str, Any]:
    """Whether a coordinator answers, and how far this clock is behind it. Raises Unavailable where none does,
    MissingDependency where nothing can ask."""
    if "httpx" in extras.missing("edge"):
        raise MissingDependency(f"{url} was not asked for: httpx is missing", remedy=extras.install_line("edge"))
    import httpx

    from fedrela.edge.network.connection import client

    try:
        with client(url) as http:
            answer = http.get(f"{url.rstrip('/')}/healthz")
            is_ours = answer.status_code == 200 and answer.json() == {"status": "ok"}
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(
            f"{url} can't be reached ({error or type(error).__name__})",
            remedy=network_settings.remedy_for(str(error), "check the address and the network"),
        ) from error
    if not is_ours:
        raise Unavailable(
            f"what answers at {url} is no coordinator (status {answer.status_code})",
            remedy="check the address, and whether a proxy or a log-in page stands between",
        )
    return {"url": url, "clock_behind_seconds": _behind(answer.headers.get("date", ""))}


def _behind(date: str) -> float | None:
    """Seconds from this clock to the time of an answer; None where it names none."""
    try:
        return round(parsedate_to_datetime(date).timestamp() - time.time(), 1)
    except ValueError:
        return None


def render(report: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{'fedrela':12} {report['fedrela']}, Python {report['python']}, {report['system']}",
        f"{'installed':12} {', '.join(report['installed']) or 'no extra'}",
    ]
    for extra, missing in report["missing"].items():
        lines.append(f"{'not here':12} {extra}: {', '.join(missing)}   ({extras.install_line(extra)})")
    if report["missing"]:
        lines.append(f"{'':12} (a device needs edge alone, a server coordinator and its stores)")
    if report["runtime"]:
        lines.append(f"{'runtime':12} {report['runtime']} starts")
    if device := report["device"]:
        conditions = [
            f"{name} {value}"
            for name, value in device["conditions"].items()
            if value is not None and name != "minute_of_day"
        ]
        enrolled = f"enrolled at {device['coordinator']}" if device["enrolled"] else "not enrolled"
        lines += [
            f"{'device':12} {enrolled}, state in {device['state']}",
            f"{'sandbox':12} {device['sandbox']}",
            f"{'sensors':12} {', '.join(conditions) or 'none'}",
        ]
    lines.append(f"{'clock':12} {time.strftime('%Y-%m-%d %H:%M:%S %Z')}{_clock(report['coordinator'])}")
    if coordinator := report["coordinator"]:
        lines.append(f"{'coordinator':12} {coordinator['url']} answers")
    elif not report["problems"]:
        lines.append(f"{'coordinator':12} none was asked: name one with --url (an operator's own: --url {LOCAL_URL})")
    proxies = [name for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "SSL_CERT_FILE") if os.environ.get(name)]
    if proxies:
        lines.append(f"{'network':12} by {', '.join(proxies)}")
    return "\n".join([*lines, *(f"{'problem':12} {problem}" for problem in report["problems"])])


def _clock(coordinator: dict[str, Any] | None) -> str:
    behind = (coordinator or {}).get("clock_behind_seconds")
    if behind is None:
        return ""
    if abs(behind) < TOLD_SECONDS:
        return ", as the coordinator's"
    return f", {abs(behind):.0f} s {'behind' if behind > 0 else 'ahead of'} the coordinator's"
