"""What the verbs of `fedrela.export.cli` show: tables for people, one object for programs."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fedrela.core.bundle import PROGRAMS


def print_contents(described: Mapping[str, Any]) -> None:
    """What a bundle holds, from `fedrela.export.contents.describe`."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    console.print(
        f"[bold]{escape(described['name'])}[/bold]: {described['classes']} classes, loss {described['loss']}, "
        f"optimizer {described['optimizer']}, {described['weights']:,} weights in {described['tensors']} tensors"
    )
    names = described["class_names"]
    classes = ", ".join(map(str, names)) if names else f"no names; data say 0 to {described['classes'] - 1}"
    console.print(f"classes in order: {classes}", markup=False, soft_wrap=True)
    if described["preprocessing"] == "image":
        console.print(f"pictures of another size: {described['resize']}")
    console.print(f"signature: {described['signature']}")
    if described["publisher"]:
        console.print(f"publisher: {described['publisher']}")
    for program in described["programs"]:
        table = Table(title=program["name"], title_justify="left", title_style="bold")
        for heading in ("input", "role", "dtype", "shape"):
            table.add_column(heading)
        for item in program["inputs"]:
            table.add_row(escape(item["name"]), item["role"], item["dtype"], item["shape"])
        console.print(table)
        console.print(f"  gives {', '.join(program['outputs'])}", markup=False, soft_wrap=True)
        for file in program["files"]:
            console.print(
                f"  {file['path']}  {file['size_bytes']:,} bytes  sha256 {file['sha256']}  {file['runtime']} "
                f">= {file['min_runtime_version']}",
                markup=False,
                soft_wrap=True,
            )
            operators = ", ".join(f"{name} x{count}" for name, count in file["operators"].items())
            if operators:
                console.print(f"  {operators}", markup=False, soft_wrap=True)


def print_files(title: str, files: Mapping[str, int], inputs: Sequence[str], errors: Mapping[str, float]) -> None:
    """The files of an official layout by size in bytes, its inputs, and how closely it follows eager PyTorch."""
    table = Table(title=title, title_justify="left")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for name, size in files.items():
        table.add_row(name, f"{size:,}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"inputs: {', '.join(inputs)}", markup=False)
    console.print(f"largest relative error over {len(errors)} golden outputs: {max(errors.values()):.1e}")


def print_programs(manifest: Any) -> None:
    """A bundle's programs: files, sizes, batches, hashes."""
    table = Table(title="programs", title_justify="left")
    for heading in ("program", "runtime", "file", "bytes", "batch", "sha256"):
        table.add_column(heading, justify="right" if heading == "bytes" else "left")
    for name in PROGRAMS:
        for file in getattr(manifest, name).files:
            batch = f"1..{file.max_batch}" if file.max_batch else "any"
            table.add_row(name, file.runtime, file.path, f"{file.size_bytes:,}", batch, file.sha256[:16])
    Console(highlight=False).print(table)


def print_verification(manifest: Any, results: Any) -> None:
    """The largest relative error of each kind of output on each runtime."""
    table = Table(title="largest relative error against eager PyTorch", title_justify="left")
    for heading in ("runtime", "tensors", "golden steps", "fresh steps"):
        table.add_column(heading)
    for result in results:
        golden, steps = _by_group(manifest, result.golden), _by_group(manifest, result.steps)
        for group, error in golden.items():
            fresh = f"{steps[group]:.1e}" if group in steps else ""
            table.add_row(result.runtime, group, f"{error:.1e}", fresh)
    Console(highlight=False).print(table)


def _by_group(manifest: Any, errors: dict[str, float]) -> dict[str, float]:
    """Largest error per kind of output."""
    roles = {f"new.{item.name}": item.role for item in manifest.train_step.inputs}
    groups: dict[str, float] = {}
    for name, error in errors.items():
        program, _, output = name.split(".", 2)
        group = roles.get(output, output) if program == "train_step" else f"{program}: {output}"
        groups[group] = max(groups.get(group, 0.0), error)
    return groups


def summary(manifest: Any, results: Any) -> dict[str, Any]:
    """Programs and errors as one JSON object."""
    return {
        "programs": {
            name: [
                {"runtime": f.runtime, "path": f.path, "bytes": f.size_bytes, "sha256": f.sha256}
                for f in getattr(manifest, name).files
            ]
            for name in PROGRAMS
        },
        "largest_relative_error": {
            result.runtime: {
                "golden": _by_group(manifest, result.golden),
                "fresh": _by_group(manifest, result.steps),
            }
            for result in results
        },
    }
