"""The verbs `emulate` and `report`. What they need besides typer is imported when a verb runs.

$ fedrela emulate ci --bundle bundle/
$ fedrela report runs/ci
"""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fedrela.core.environment import extras
from fedrela.core.errors import InvalidInput

app = typer.Typer(help="Emulate fleets of devices, and report on what they did.")


@app.command()
def emulate(
    scenario: Annotated[
        str, typer.Argument(help="A scenario file, or a shipped one: trial, ci, daily, malicious, flaky-network, huge.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option(help="Folder that `fedrela export` wrote, to publish with the scenario's [task].")
    ] = None,
    data: Annotated[
        str,
        typer.Option(help="A folder or .zip of class folders, or an .npz, dealt as it is, in place of the scenario's."),
    ] = "",
    task: Annotated[str, typer.Option(help="A task that is already published, by name or id. Needs --url.")] = "",
    url: Annotated[
        str,
        typer.Option(envvar="FEDRELA_URL", help="A running coordinator. Without it, one is started for this run."),
    ] = "",
    admin_key: Annotated[str, typer.Option(envvar="FEDRELA_ADMIN_KEY", help="The coordinator's admin key.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "--record", help="Folder of the run. [default: runs/SCENARIO]")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, help="Worker processes; 0: everything in one.")] = 2,
    in_process: Annotated[
        bool, typer.Option("--in-process", help="Coordinator and devices in one process, without a network.")
    ] = False,
    engine: Annotated[
        Literal["processes", "ray"], typer.Option(help="What runs the workers: this machine, or a Ray cluster.")
    ] = "processes",
    ray_address: Annotated[
        str,
        typer.Option(envvar="RAY_ADDRESS", help="A running Ray cluster. Without it, one is started here for this run."),
    ] = "",
    no_relabel: Annotated[
        bool, typer.Option("--no-relabel", help="The same without re-labels, to see what FedReLa brings.")
    ] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Instead of the scenario's number of rounds.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of its passes over a device's data.")] = None,
    lr: Annotated[float | None, typer.Option(help="Instead of its learning rate.")] = None,
    label: Annotated[str, typer.Option(help="Name of the method in reports. [default: by the task]")] = "",
    seed: Annotated[int | None, typer.Option(help="Instead of the seed in scenario and task.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="A recorded run: play it again, and fail if anything differs.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the scenario with all of its keys, to begin your own with, and end.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Train with an emulated fleet: real device clients and programs, a real coordinator, an emulated world.

    The same scenario and seed give the same weights, whatever the number of workers.
    """
    from fedrela.emulator import overrides, scenario_toml
    from fedrela.emulator.emulation import emulate as run
    from fedrela.emulator.publishing import publish
    from fedrela.emulator.results import record
    from fedrela.emulator.scenario import load, shipped

    if bool(scenario) == (replay is not None):
        raise InvalidInput(
            "there is no scenario, or both one and --replay", remedy=f"name one of {', '.join(shipped())}"
        )
    if engine == "ray" and in_process:
        raise InvalidInput("--engine ray can't be in one process", remedy="leave one of --engine and --in-process out")
    played, folder = (record.recorded_scenario(replay), Path()) if replay is not None else load(scenario)
    played = overrides.trained_for(overrides.reseeded(played, seed), task, rounds=rounds, epochs=epochs, lr=lr)
    played = overrides.without_relabels(played, task) if no_relabel else played
    played = overrides.with_data(played, data, bundle or task)
    if show:
        typer.echo(scenario_toml.text(overrides.with_bundle(played, bundle)), nl=False)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started for this run is ended too
    name = f"{played.name}-no-relabel" if no_relabel else played.name
    folder_of_run = record.free_folder(out or Path("runs") / name)
    with _coordinator(url, admin_key, in_process) as coordinator:
        if not task:
            task = publish(played, folder, bundle, coordinator)
        summary = run(
            played,
            coordinator,
            task,
            out=folder_of_run,
            folder=folder,
            workers=0 if in_process else workers,
            run_by=engine,
            ray_address=ray_address,
            label=label,
            quiet=quiet,
        )
    if replay is not None:
        record.check_same(replay, folder_of_run)
        typer.echo(f"the same as {replay}: every event and every global model", err=True)
    if as_json:
        typer.echo(json.dumps(record.finite({"run": str(folder_of_run), **summary}), allow_nan=False))
    else:
        _print_summary(summary, folder_of_run)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `fedrela emulate` wrote; seeds of a method group.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the report. [default: beside the first run]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """A table, plots (PNG) and one self-contained HTML page from recorded runs."""
    from fedrela.emulator.results import page, record
    from fedrela.emulator.results import report as figures

    named, runs = runs, [folder for folder in runs if (folder / "run.json").exists()] or runs
    for other in [folder for folder in named if folder not in runs]:  # `runs/*` has the last report, too
        typer.echo(f"left out: {other} holds no run", err=True)
    summary = figures.summarize([record.read(folder) for folder in runs])
    folder = out or (runs[0] if len(runs) == 1 else runs[0].parent) / "report"
    former = (folder / "report.html").exists()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = page.write(summary, folder)
    plain = figures.as_json(summary)
    (folder / "report.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(plain))
        return
    _print_report(summary)
    told = " (in place of a former one)" if former else ""
    typer.echo(f"plots:  {pictures[0]}, {pictures[1]}\nreport: {(folder / 'report.html').resolve()}{told}")


@contextmanager
def _coordinator(url: str, admin_key: str, in_process: bool) -> Iterator[Any]:
    """The coordinator at `url`, or one for the length of this run."""
    from fedrela.emulator.connections import local_coordinator
    from fedrela.emulator.emulation import CoordinatorAccess

    if not url:
        extras.require("coordinator", "a coordinator for this run (none is named with --url)")
    else:
        typer.echo(f"coordinator: {url}, by --url or FEDRELA_URL", err=True)
        if not admin_key:
            raise InvalidInput(
                "the coordinator's admin key is missing", remedy="pass --admin-key, or set FEDRELA_ADMIN_KEY"
            )
        yield CoordinatorAccess(url.rstrip("/"), admin_key)
        return
    with local_coordinator.throwaway_folder() as data:
        if in_process:
            with local_coordinator.in_process(data) as (address, key, transport):
                yield CoordinatorAccess(address, key, transport)
        else:
            with local_coordinator.process(data) as (address, key, process_id):
                yield CoordinatorAccess(address, key, process_id=process_id)


def _print_summary(summary: dict[str, Any], folder: Path) -> None:
    from fedrela.coordinator import trained_model
    from fedrela.core import bundle
    from fedrela.emulator import emulation

    accuracy, machine = summary["accuracy"], summary["machine"]
    typer.echo(
        f"{summary['rounds']} rounds, {summary['updates']} updates in {machine['training_seconds']:.1f} s "
        f"({machine['updates_per_second']:.1f} per second, peak memory {machine['peak_memory_bytes'] / 1e6:.0f} MB); "
        f"{summary['virtual_seconds'] / 3600:.2f} virtual hours"
    )
    groups = ("overall", "many", "medium", "few", "balanced")
    typer.echo("accuracy in %: " + ", ".join(f"{group} {100 * accuracy[group]:.1f}" for group in groups))
    if remark := _remark(accuracy["per_class"]):
        typer.echo(remark)
    typer.echo(f"final weights: sha256 {summary['final_sha256']}")
    typer.echo(f"run: {folder}   (next: fedrela report {folder})")
    model = folder / emulation.MODEL
    manifest = bundle.parse_manifest((model / trained_model.MANIFEST).read_bytes())
    typer.echo(f"\nthe trained model: {model}\n\n{trained_model.how_to_use(manifest, model)}")


def _remark(recalls: list[float]) -> str:
    """A word on a model that gives one class to all; NaN is the recall of a class that isn't in the test set."""
    if sum(recall > 0 for recall in recalls) > 1:
        return ""
    return "every sample got the same class: nothing is learned; try --rounds 40 --lr 0.005"


def _print_report(report: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from fedrela.emulator.results.report import GROUPS, percent

    table = Table(title="accuracy of the final model in %, mean ± standard deviation over seeds")
    table.add_column("method")
    for group in (*GROUPS, "seeds"):
        table.add_column(group, justify="right")
    for arm in report.arms:
        table.add_row(arm.label, *(percent(arm.accuracy[group]) for group in GROUPS), str(len(arm.runs)))
    if report.gains:
        table.add_row(
            f"gain over {report.arms[0].label}, in points",
            *(percent(report.gains[group], sign=True) for group in GROUPS),
            "",
        )
    console = Console()
    console.print(table)
    if report.unlike:
        typer.echo(f"note: these runs also differ in {', '.join(report.unlike)}: no gain of the method alone")
    for arm in report.arms:
        for run in arm.runs:
            typer.echo(f"{arm.label}, seed {run.seed}: final weights sha256 {run.summary['final_sha256']}")
