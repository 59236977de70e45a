"""The verb `fedrela study longtail`. What it needs besides typer is imported when it runs.

$ fedrela study longtail --quick
"""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fedrela.study.config import Study
    from fedrela.study.runs.setups import Workspace

app = typer.Typer(no_args_is_help=True, help="Measure what re-labeling adds, against everything else.")
study_app = typer.Typer(no_args_is_help=True, help="Measure what re-labeling adds, against everything else.")
app.add_typer(study_app, name="study")


@study_app.callback()
def _study() -> None:
    """Measure what re-labeling adds, against everything else."""


@study_app.command()
def longtail(
    study: Annotated[
        str, typer.Argument(help="A study's TOML file, or the name of a shipped one (see --list).")
    ] = "quick",
    quick: Annotated[bool, typer.Option("--quick", help="The shipped study `quick`: digits, a few minutes.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Results, JSON lines. Finished cells are never run again. Default: runs/study/NAME.jsonl."),
    ] = None,
    work: Annotated[Path, typer.Option(help="Decoded data, bundles and trunks.")] = Path("runs/study"),
    data: Annotated[str, typer.Option(help="Where the dataset is, instead of the file's data.path.")] = "",
    seed: Annotated[list[int], typer.Option(help="Only these seeds of the study; may be given several times.")] = [],  # noqa: B006
    method: Annotated[
        list[str], typer.Option(help="Only these methods, and no reference unless --reference names it.")
    ] = [],  # noqa: B006
    variant: Annotated[
        list[str],
        typer.Option(help="Only these variants, named as settings are, and no reference unless --reference names it."),
    ] = [],  # noqa: B006
    reference: Annotated[
        list[str], typer.Option(help="Only these references, and no method unless --method names it.")
    ] = [],  # noqa: B006
    setting: Annotated[
        list[str], typer.Option(help="Only these settings: a name, or a part of one that tells it from the others.")
    ] = [],  # noqa: B006
    jobs: Annotated[
        int, typer.Option(min=1, help="Groups of cells (a trunk and its branches) at a time, a process each.")
    ] = 1,
    reference_device: Annotated[
        str, typer.Option(help="Where PyTorch trains the references: cpu, cuda, cuda:1. [default: --device, or cpu]")
    ] = "",
    device: Annotated[
        str,
        typer.Option(
            help="Train the fleet, too, by PyTorch on this device of its, e.g. cuda, as for a model that no "
            "processor trains in time. [default: the exported programs, on this processor]"
        ),
    ] = "",
    pause: Annotated[
        Path | None, typer.Option(help="Stand still while this file is there, as for the time of a measurement.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Folder for plots and page. Default: OUT without .jsonl.")] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Run nothing; report what is there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the shipped studies.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run a study: setting x method x variant x seed, each with and without FedReLa from one checkpoint.

    Everything federated trains through the emulated fleet with exported programs. Stop it at any time, even with
    kill -9: called again, it goes on from the last round that was saved. Then: a table, plots and one HTML page.
    """
    from fedrela.study import config
    from fedrela.study.runs.setups import Workspace
    from fedrela.study.selection import Selection, select

    if list_:
        _list_shipped()
        return
    name = "quick" if quick else study
    whole, folder = config.load(name)
    part = select(whole, Selection(tuple(seed), tuple(method), tuple(reference), tuple(setting), tuple(variant)))
    if data:
        part = dataclasses.replace(part, data=dataclasses.replace(part.data, path=str(Path(data).resolve())))
    results = out or Path("runs/study") / f"{part.name}.jsonl"
    workspace = Workspace(results, work, reference_device or device or "cpu", device, pause)
    if not report_only:
        _run(part, folder, workspace, f"fedrela study longtail {Path(name).name}", jobs)
    _report(part, workspace, report or results.with_suffix(""), as_json)


def _list_shipped() -> None:
    """One line per shipped study."""
    from fedrela.study import config

    for name in config.shipped():
        study, _ = config.load(name)
        typer.echo(f"{name:<24} {study.title}")


def _run(study: "Study", folder: Path, workspace: "Workspace", command: str, jobs: int) -> None:
    """Run what is not finished; `folder` is what the study's paths are relative to."""
    from fedrela.study.data import datasets
    from fedrela.study.runs import resume, scenes
    from fedrela.study.runs.progress import Bar

    if workspace.device:
        from fedrela.study.eager import devices

        devices.named(workspace.device)  # refused now, not when the fleet is there
    prepared = datasets.prepare(study.data, study.model.input, folder, workspace.work / "cache")
    for setting in study.setting:
        typer.echo(scenes.used(prepared, setting, study.seeds[0]), err=True)
    with Bar() as bar:
        resume.run(study, prepared, workspace, bar, command, jobs)


def _report(study: "Study", workspace: "Workspace", folder: Path, as_json: bool) -> None:
    """Print what the results say, and write plots and page to `folder`."""
    from rich.console import Console

    from fedrela.study.pages import publish

    if as_json:
        typer.echo(publish.as_json(workspace.results))
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for table in publish.publish(workspace.results, folder, study.title or study.name):
        console.print(table.rich())
    typer.echo(f"results: {workspace.results}\nreport:  {folder / 'report.html'}")
    if workspace.models.is_dir():
        typer.echo(f"the trained models: {workspace.models}   (how to predict with one: docs/operations.md)")
