"""The verb `fedrela study longtail`."""

from pathlib import Path
from typing import Annotated

import typer

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
        str, typer.Option(help="Where PyTorch trains the references: cpu, cuda, cuda:1.")
    ] = "cpu",
    report: Annotated[Path | None, typer.Option(help="Folder for plots and page. Default: OUT without .jsonl.")] = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Run nothing; report what is there.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the shipped studies.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run a study: setting x method x variant x seed, each with and without FedReLa from one checkpoint.

    Everything federated trains through the emulated fleet with exported programs. Stop it at any time, even with
    kill -9: called again, it goes on with the next unfinished cell. Then: a table, plots and one HTML page.
    """
    from fedrela.study import command, parts

    if list_:
        command.list_shipped()
        return
    only = parts.Only(tuple(seed), tuple(method), tuple(reference), tuple(setting))
    command.run(
        "quick" if quick else study, only, out, work, data, jobs, reference_device, report, report_only, as_json
    )
