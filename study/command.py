"""What `fedrela study longtail` does, once asked."""

import dataclasses
import sys
from pathlib import Path

import typer
from rich.console import Console

from fedrela.study import config, longtail, parts
from fedrela.study.data import datasets
from fedrela.study.pages import publish
from fedrela.study.parts import Only
from fedrela.study.runs.groups import Place
from fedrela.study.runs.progress import Bar


def list_shipped() -> None:
    """One line per shipped study."""
    for name in config.shipped():
        study, _ = config.load(name)
        typer.echo(f"{name:<24} {study.title}")


def run(
    name: str,
    only: Only,
    out: Path | None,
    work: Path,
    data: str,
    jobs: int,
    reference_device: str,
    report: Path | None,
    report_only: bool,
    as_json: bool,
) -> None:
    """Run what is not finished, then report."""
    study, folder = config.load(name)
    study = parts.narrowed(study, only)
    if data:
        study = dataclasses.replace(study, data=dataclasses.replace(study.data, path=str(Path(data).resolve())))
    path = out or Path("runs/study") / f"{study.name}.jsonl"
    if not report_only:
        prepared = datasets.prepare(study.data, folder, work / "cache")
        command = f"fedrela study longtail {Path(name).name}"
        with Bar() as bar:
            longtail.run(study, prepared, Place(path, work, reference_device), bar, command, jobs)
    if as_json:
        typer.echo(publish.as_json(path))
        return
    folder = report or path.with_suffix("")
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    for table in publish.publish(path, folder, study.title or study.name):
        console.print(table.rich())
    typer.echo(f"results: {path}\nreport:  {folder / 'report.html'}")
