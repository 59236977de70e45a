"""The verb `fedrela device install-service`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fedrela.core.errors import InvalidInput
from fedrela.edge.owner.options import State
from fedrela.edge.owner.settings import load as load_settings


def install_service(
    data: Annotated[str, typer.Option("--data", help="As for `fedrela device run`.")],
    state: State,
    threads: Annotated[int | None, typer.Option(min=1, help="As for `fedrela device run`.")] = None,
    runtime: Annotated[list[str] | None, typer.Option(help="As for `fedrela device run`.")] = None,
    settings: Annotated[Path | None, typer.Option(help="A TOML file of settings.")] = None,
    system: Annotated[
        bool, typer.Option("--system", help="A unit of the system's manager, which runs as the state folder's owner.")
    ] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Print the unit; write nothing.")] = False,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Don't run the unit's command once before.")] = False,
) -> None:
    """Write a systemd unit that keeps this device running, at low priority, seeing of your home only what it needs.

    It takes along this shell's proxy, certificates, module path and time zone, and is tried once before it is written.
    """
    from fedrela.edge.owner import carried, unit_trial
    from fedrela.edge.owner.systemd import SYSTEM_START, USER_START, service, unit, unit_file

    load_settings(settings)
    if not (state / "identity.json").is_file():
        raise InvalidInput(f"no device is enrolled at {state}", remedy="run `fedrela device enroll <link>` first")
    source = carried.located(data)
    words = ["device", "run", "--data", source.words, "--state", str(state.resolve())]
    words += ["--threads", str(threads)] if threads else []
    words += [word for name in runtime or () for word in ("--runtime", name)]
    words += ["--settings", str(settings.resolve())] if settings else []
    made = service(words, state.resolve(), source, [settings] if settings else [], system=system)
    if print_only:
        typer.echo(unit(made))
        return
    if not unchecked:
        unit_trial.check(made, system=system, tell=lambda words: typer.echo(words, err=True))
    path = unit_file(system=system)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # a proxy's password may be in it
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(unit(made))
    except OSError as error:
        raise InvalidInput(
            f"{path} can't be written ({error.strerror})", remedy="see --print; with --system this takes root"
        ) from error
    typer.echo(f"wrote {path}\n{SYSTEM_START if system else USER_START}")
