"""What `fedrela study longtail` does, once asked. May import rich and this package."""

import dataclasses
from pathlib import Path

import typer

from study import config, datasets, longtail
from study.progress import Bar


def list_shipped() -> None:
    """One line per shipped study."""
    for name in config.shipped():
        study, _ = config.load(name)
        typer.echo(f"{name:<24} {study.title}")


def run(
    name: str, out: Path | None, work: Path, data: str, report: Path | None, report_only: bool, as_json: bool
) -> None:
    """Run what is not finished, then report."""
    study, folder = config.load(name)
    if data:
        study = dataclasses.replace(study, data=dataclasses.replace(study.data, path=str(Path(data).resolve())))
    path = out or Path("runs/study") / f"{study.name}.jsonl"
    if not report_only:
        prepared = datasets.prepare(study.data, folder, work / "cache")
        command = f"fedrela study longtail {Path(name).name}"
        with Bar() as bar:
            longtail.run(study, prepared, longtail.Place(path, work), bar, command)
